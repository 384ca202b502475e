import { readSettings } from '../../config.js';
import { viewLinks } from '../../temporal/links.js';
import * as attributes from '../../temporal/search-attributes.js';
import { openTemporal } from '../context.js';
import { forgetsEarly } from '../diagnosis.js';
import { STATUS, UsageError } from '../errors.js';
import { examples, type Flags, type Register } from '../options.js';
import { print, printJson, printTable, say } from '../output.js';

type Options = Flags<'dryRun' | 'json'>;

export const register: Register = (command) => {
  command.option('--dry-run', 'only say what is missing').addHelpText('after', examples('setup --dry-run', 'setup'));
  return setup;
};

async function setup({ dryRun = false, json = false }: Options): Promise<number> {
  const settings = readSettings();
  const temporal = await openTemporal(settings);
  const { namespace, client } = temporal;
  const views = viewLinks(temporal);
  try {
    const states = await attributes.attributeStates(client.connection, namespace);
    refuseOtherTypes(states, namespace);
    const missing = states.filter(isMissing).map(({ name }) => name);
    const existed = states.filter((state) => !isMissing(state)).map(({ name }) => name);
    if (!dryRun && missing.length > 0) await attributes.registerAttributes(client.connection, namespace, missing);
    const changed = dryRun ? { registered: [], missing } : { registered: missing, missing: [] };
    if (json) printJson({ namespace, ...changed, existed, views });
    if (json) return STATUS.done;
    const done = dryRun ? 'missing: this is a dry run' : 'registered';
    printTable(states.map((state) => [state.name, state.type, isMissing(state) ? done : 'was there']));
  } catch (error) {
    if (!(error instanceof attributes.NoRight)) throw error;
    const why = `This connection may not register search attributes in "${namespace}" (${error.message}). Nothing was registered: on Temporal Cloud, an owner of the namespace does it with one of these.`;
    const lines = attributes.cloudLines(namespace);
    if (json) printJson({ namespace, registered: [], why, ...lines, views });
    else
      print([why, lines.tcld, ...lines.terraform, ...Object.entries(views).map((view) => view.join('  '))].join('\n'));
    return STATUS.usage;
  }
  const memory = await forgetsEarly(temporal, settings);
  if (memory !== null) say(memory);
  print('\nViews for the list of the Temporal UI. A link opens its view, and the UI keeps it in that browser.');
  printTable(Object.entries(views), '  ');
  return STATUS.done;
}

const isMissing = ({ registeredAs }: attributes.AttributeState): boolean => registeredAs === null;

/** @throws UsageError where an attribute is registered with another type. */
function refuseOtherTypes(states: readonly attributes.AttributeState[], namespace: string): void {
  const wrong = states.filter(({ type, registeredAs }) => registeredAs !== null && registeredAs !== type);
  if (wrong.length === 0) return;
  const problems = wrong.map(({ name, type, registeredAs }) => `${name} is of type ${registeredAs}, not ${type}`);
  const names = wrong.map(({ name }) => `--name ${name}`).join(' ');
  throw new UsageError(
    `Search attributes of namespace "${namespace}": ${problems.join('; ')}. The Service never changes a type. Where nobody else uses them, and while no generation runs (one that has written an attribute stands still without it): temporal operator search-attribute remove --namespace ${namespace} ${names}. Nothing was registered.`,
  );
}
