import { SettingsError } from '../config.js';

/**
 * Activities of the user with ours beside them.
 * @throws SettingsError where both have one of a name: one of them would be left out without a word.
 */
export function withOurs(theirs: object = {}, ours: object): object {
  refuseClash(Object.keys(ours).filter((name) => Object.hasOwn(theirs, name)));
  return { ...theirs, ...ours };
}

/** @throws SettingsError where another plugin has put its own in the place of ours. */
export function requireOurs(registered: ReadonlyMap<string, unknown>, ours: object): void {
  const replaced = Object.entries(ours).filter(([name, activity]) => registered.get(name) !== activity);
  refuseClash(replaced.map(([name]) => name));
}

function refuseClash(names: readonly string[]): void {
  if (names.length === 0) return;
  throw new SettingsError(
    `activities: ${names.join(', ')}: a Worker gets this from rivya-temporal by itself, and somebody else registers it too. Names that begin with "rivya" belong to rivya-temporal: leave it out, or register it under another name.`,
  );
}
