/** The module of each command. The command that is asked for loads its own. */
import type * as Batch from './commands/batch/index.js';
import type * as Together from './commands/index.js';
import type { Register } from './options.js';

type Load = () => Promise<{ readonly register: Register }>;

const together =
  (name: keyof typeof Together): Load =>
  async () =>
    (await import('./commands/index.js'))[name];
const batch =
  (name: keyof typeof Batch): Load =>
  async () =>
    (await import('./commands/batch/index.js'))[name];

/** By the words that name the command, for each one of `COMMANDS` that does something. */
export const MODULES: Readonly<Record<string, Load>> = {
  demo: together('demo'),
  dev: together('dev'),
  worker: together('worker'),
  generate: together('generate'),
  list: together('list'),
  status: together('one'),
  open: together('open'),
  wait: together('one'),
  resume: together('one'),
  'check-now': together('one'),
  'change-deadline': together('one'),
  cancel: together('one'),
  'batch run': batch('run'),
  'batch status': batch('status'),
  'batch pause': batch('steer'),
  'batch resume': batch('steer'),
  'batch cancel': batch('steer'),
  'batch retry': batch('retry'),
  'batch add': batch('edit'),
  'batch drop': batch('edit'),
  'batch report': batch('report'),
  'batch download': batch('download'),
  'account show': together('account'),
  'account stop': together('accountSteer'),
  'account allow': together('accountSteer'),
  'account set-rate': together('accountSteer'),
  'account release': together('accountSteer'),
  'account refresh': together('accountSteer'),
  recover: together('recover'),
  charges: together('charges'),
  models: together('api'),
  credits: together('api'),
  emulator: () => import('./commands/emulator.js'),
  'codec-server': () => import('./commands/codec-server.js'),
  doctor: () => import('./commands/doctor.js'),
  setup: together('setup'),
  completion: () => import('./commands/completion.js'),
};
