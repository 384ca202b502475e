import { completionScript, SHELLS, type Shell } from '../completion.js';
import { STATUS } from '../errors.js';
import { examples, type Flags, type Register } from '../options.js';
import { print, printJson } from '../output.js';

const HELP = `${examples('completion bash')}

Save it where the shell looks for it, then open another terminal:
  bash  rivya-temporal completion bash > ~/.local/share/bash-completion/completions/rivya-temporal
  zsh   rivya-temporal completion zsh > "\${fpath[1]}/_rivya-temporal"
  fish  rivya-temporal completion fish > ~/.config/fish/completions/rivya-temporal.fish
or, for bash and zsh (after compinit), load it at each start: source <(rivya-temporal completion bash)

It completes the command rivya-temporal itself (npm install --global rivya-temporal), not npx. Model IDs are asked for
when they are completed.`;

/** `main.ts` loads all other commands for it, with their options. */
export const register: Register = (command) => {
  command.registeredArguments[0]?.choices(SHELLS);
  command.addHelpText('after', HELP);
  return ({ json }: Flags<'json'>, shell) => {
    const script = completionScript(shell as Shell, command.parent ?? command);
    if (json) printJson({ shell, script });
    else print(script);
    return Promise.resolve(STATUS.done);
  };
};
