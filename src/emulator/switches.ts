import type { EmulatorSwitches } from './types.js';

/** Every setting of the switches that have a few; the first is the default. */
export const SWITCH_VALUES = {
  createStatus: [201, 200, 202],
  createBody: ['full', 'short'],
  replay: ['stored', 'current'],
  storeRefusals: [false, true],
  storeServerErrors: [false, true],
  concurrentPost: ['conflict', 'wait', 'replay'],
  keyScope: ['apiKey', 'account'],
  urls: ['present', 'missing', 'none'],
  errorOnFailed: ['present', 'null'],
  retryAfter: ['none', 'seconds', 'date'],
  fileStatus: [201, 200],
  fileBody: ['full', 'short'],
  fileAgain: ['new', 'same'],
  durationToken: ['optional', 'required'],
  unknownSession: ['notFound', 'conflict'],
  otherModelInSession: ['conflict', 'allow'],
  busySession: ['conflict', 'allow'],
  chatFiles: ['any', 'known'],
} as const satisfies { readonly [Name in keyof EmulatorSwitches]?: readonly EmulatorSwitches[Name][] };

type Chosen = Pick<EmulatorSwitches, keyof typeof SWITCH_VALUES>;

export const DEFAULT_SWITCHES: EmulatorSwitches = {
  ...(Object.fromEntries(Object.entries(SWITCH_VALUES).map(([name, [first]]) => [name, first])) as unknown as Chosen),
  keyLifetimeMs: Infinity,
  resultLagMs: 0,
  clockOffsetMs: 0,
  fileLifetimeMs: Infinity,
};

/** @throws TypeError naming the switch that does not exist or has no such setting. */
export function withSwitches(current: EmulatorSwitches, changes: Partial<EmulatorSwitches>): EmulatorSwitches {
  for (const [name, value] of Object.entries(changes)) {
    if (!Object.hasOwn(DEFAULT_SWITCHES, name)) {
      throw new TypeError(`The emulator has no switch "${name}"; it has ${Object.keys(DEFAULT_SWITCHES).join(', ')}.`);
    }
    const values: readonly unknown[] | undefined = Object.hasOwn(SWITCH_VALUES, name)
      ? SWITCH_VALUES[name as keyof typeof SWITCH_VALUES]
      : undefined;
    if (values === undefined ? typeof value !== 'number' : !values.includes(value)) {
      const choice = values?.map(String).join(', ') ?? 'a number of milliseconds';
      throw new TypeError(`The switch "${name}" cannot be ${JSON.stringify(value)}; it takes ${choice}.`);
    }
  }
  return { ...current, ...changes };
}
