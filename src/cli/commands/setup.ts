import { readSettings } from '../../config.js';
import { viewLinks } from '../../temporal/links.js';
import {
  attributeStates,
  cloudLines,
  NoRight,
  registerAttributes,
  type AttributeState,
} from '../../temporal/search-attributes.js';
import { openTemporal, type Temporal } from '../context.js';
import { forgetsEarly } from '../diagnosis.js';
import { STATUS, UsageError } from '../errors.js';
import { examples, type Register } from '../options.js';
import { print, printJson, printTable, say } from '../output.js';

interface Options {
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export const registerSetup: Register = (program, run) => {
  program
    .command('setup')
    .description('Register the search attributes in the namespace, once, and show links that save views in the UI.')
    .option('--dry-run', 'only say what is missing')
    .option('--json', 'print one JSON document')
    .addHelpText('after', examples('setup --dry-run', 'setup'))
    .action((options: Options) => run(() => setup(options)));
};

async function setup({ dryRun = false, json = false }: Options): Promise<number> {
  const settings = readSettings();
  const temporal = await openTemporal(settings);
  const { namespace } = temporal;
  const views = viewLinks(temporal);
  try {
    const states = await register(temporal, dryRun);
    const named = (registeredAs: string | null): string[] =>
      states.filter((state) => (state.registeredAs === null) === (registeredAs === null)).map(({ name }) => name);
    const [missing, existed] = [named(null), named('')];
    if (json) {
      printJson({ namespace, registered: dryRun ? [] : missing, missing: dryRun ? missing : [], existed, views });
      return STATUS.done;
    }
    const done = dryRun ? 'missing: this is a dry run' : 'registered';
    printTable(states.map(({ name, type, registeredAs }) => [name, type, registeredAs === null ? done : 'was there']));
  } catch (error) {
    if (!(error instanceof NoRight)) throw error;
    const why = `This connection may not register search attributes in "${namespace}" (${error.message}). Nothing was registered: on Temporal Cloud, an owner of the namespace does it with one of these.`;
    const lines = cloudLines(namespace);
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

/** How the attributes stood before; those that were missing are registered unless it is a dry run. */
async function register({ client, namespace }: Temporal, dryRun: boolean): Promise<AttributeState[]> {
  const states = await attributeStates(client.connection, namespace);
  const wrong = states.filter(({ type, registeredAs }) => registeredAs !== null && registeredAs !== type);
  if (wrong.length > 0) {
    const problems = wrong.map(({ name, type, registeredAs }) => `${name} is of type ${registeredAs}, not ${type}`);
    const names = wrong.map(({ name }) => `--name ${name}`).join(' ');
    throw new UsageError(
      `Search attributes of namespace "${namespace}": ${problems.join('; ')}. The Service never changes a type. Where nobody else uses them, and while no generation runs (one that has written an attribute stands still without it): temporal operator search-attribute remove --namespace ${namespace} ${names}. Nothing was registered.`,
    );
  }
  const missing = states.filter(({ registeredAs }) => registeredAs === null).map(({ name }) => name);
  if (!dryRun && missing.length > 0) await registerAttributes(client.connection, namespace, missing);
  return states;
}
