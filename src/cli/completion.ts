/** Completion scripts for shells, made from the commands and their options. Only model IDs are asked for when they are needed. */
import type { Command, Option } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

// The first column of the table, without its head.
const MODELS = 'rivya-temporal models 2>/dev/null | tail -n +2 | cut -d" " -f1';

/** A command that does something, with the words that name it: `list`, or `batch run`. */
interface Leaf {
  readonly path: string;
  readonly command: Command;
}

/** The commands that do something. A group, such as `batch`, only holds others. */
export function leavesOf(program: Command): Leaf[] {
  return program.commands.flatMap((group) =>
    group.commands.length === 0
      ? [{ path: group.name(), command: group }]
      : group.commands.map((command) => ({ path: `${group.name()} ${command.name()}`, command })),
  );
}

/** @param program - With all commands and all of their options. */
export function completionScript(shell: Shell, program: Command): string {
  return { bash, zsh, fish }[shell](program);
}

const groupsOf = ({ commands }: Command): Command[] => commands.filter((one) => one.commands.length > 0);
const namesIn = ({ commands }: Command): string => commands.map((one) => one.name()).join(' ');

/** What can follow an option: one of these words, a word that a command line prints, a file, or nothing of its own. */
type Value = { readonly words: readonly string[] } | { readonly printedBy: string } | 'file' | null;

function valueOf({ long, required, optional, argChoices }: Option): Value {
  if (argChoices !== undefined) return { words: argChoices };
  if (long === '--model') return { printedBy: MODELS };
  return required || optional ? 'file' : null;
}

const namesOf = ({ short, long }: Option): string[] => [short, long].flatMap((name) => name ?? []);
const choicesOf = (command: Command): readonly string[] => command.registeredArguments[0]?.argChoices ?? [];
/** In single quotes, which mean the same in all three shells but for a quote in the text. */
const quote = (text: string): string => `'${text.replaceAll("'", '’')}'`;

/** Patterns of a shell's `case` for all options of a kind: `generate --model` is a command and the word before. */
function casesOf(program: Command, body: (value: Exclude<Value, null>) => string): string {
  const cases = new Map<string, string[]>();
  for (const { path, command } of leavesOf(program)) {
    for (const option of command.options) {
      const value = valueOf(option);
      if (value === null) continue;
      const patterns = namesOf(option).map((name) => quote(`${path} ${name}`));
      cases.set(body(value), [...(cases.get(body(value)) ?? []), ...patterns]);
    }
  }
  return [...cases].map(([does, patterns]) => `    ${patterns.join('|')}) ${does} ;;`).join('\n');
}

/** As a pattern of a shell's `case`. */
function groupNames(program: Command): string {
  return groupsOf(program)
    .map((group) => group.name())
    .join('|');
}

function bash(program: Command): string {
  const before = casesOf(program, (value) => {
    if (value === 'file') return 'return';
    return `words=${'words' in value ? quote(value.words.join(' ')) : `$(${value.printedBy})`}`;
  });
  const own = leavesOf(program).map(({ path, command }) => {
    const words = [...choicesOf(command), ...command.options.flatMap(namesOf), '--help'];
    return `    ${quote(path)}) words=${quote(words.join(' '))} ;;`;
  });
  const groups = groupsOf(program).map((group) => `    ${group.name()}) words=${quote(namesIn(group))} ;;`);
  return `# Without a match bash completes the name of a file.
_rivya_temporal() {
  local word=\${COMP_WORDS[COMP_CWORD]} command=\${COMP_WORDS[1]} words
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then command=; fi
  case "$command" in ${groupNames(program)}) if ((COMP_CWORD > 2)); then command+=" \${COMP_WORDS[2]}"; fi ;; esac
  case "$command" in
    '') words=${quote(namesIn(program))} ;;
${[...groups, ...own].join('\n')}
  esac
  case "$command \${COMP_WORDS[COMP_CWORD - 1]}" in
${before}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _rivya_temporal rivya-temporal`;
}

function zsh(program: Command): string {
  const before = casesOf(program, (value) => {
    if (value === 'file') return '_files; return';
    return `compadd -- ${'words' in value ? value.words.join(' ') : `\${(f)"$(${value.printedBy})"}`}; return`;
  });
  const described = (name: string, text: string): string => quote(`${name}:${text}`);
  const list = ({ commands }: Command): string =>
    `found=(${commands.map((one) => described(one.name(), one.description())).join(' ')}); _describe command found; return`;
  const groups = groupsOf(program).map((group) => `    ${group.name()}) ${list(group)} ;;`);
  const own = leavesOf(program).map(({ path, command }) => {
    const options = command.options.flatMap((one) => namesOf(one).map((name) => described(name, one.description)));
    const choices = choicesOf(command).join(' ');
    const argument = choices === '' ? '' : `compadd -- ${choices}; `;
    return `    ${quote(path)}) ${argument}found=(${options.join(' ')} --help) ;;`;
  });
  return `#compdef rivya-temporal
_rivya_temporal() {
  local -a found
  local command=$words[2]
  if (( CURRENT == 2 )); then ${list(program)}; fi
  case "$command" in ${groupNames(program)}) if (( CURRENT > 3 )); then command+=" $words[3]"; fi ;; esac
  case "$command $words[CURRENT-1]" in
${before}
  esac
  case "$command" in
${[...groups, ...own].join('\n')}
  esac
  _describe -o option found || _files
}
# Loaded by its name from fpath it completes at once; sourced, it is registered.
if [[ $funcstack[1] == _rivya-temporal ]]; then _rivya_temporal "$@"; else compdef _rivya_temporal rivya-temporal; fi`;
}

function fish(program: Command): string {
  const taken = (value: Value): string => {
    if (value === null) return '';
    if (value === 'file') return ' -r -F';
    return ` -x -a ${quote('words' in value ? value.words.join(' ') : `(${value.printedBy})`)}`;
  };
  const seen = (words: string): string => `__fish_seen_subcommand_from ${words}`;
  const groups = groupsOf(program).map((group) => group.name());
  const outside = groups.map((group) => `; and not ${seen(group)}`).join('');
  const lines = leavesOf(program).flatMap(({ path, command }) => {
    const [top = '', name] = path.split(' ');
    const within = `complete -c rivya-temporal -n ${quote(name === undefined ? seen(top) + outside : `${seen(top)}; and ${seen(name)}`)}`;
    const options = command.options.map((option) => {
      const names = namesOf(option).map((one) => (one.startsWith('--') ? `-l ${one.slice(2)}` : `-s ${one.slice(1)}`));
      return `${within} ${names.join(' ')}${taken(valueOf(option))} -d ${quote(option.description)}`;
    });
    const choices = choicesOf(command).join(' ');
    const argument = choices === '' ? [] : [`${within} -f -a ${quote(choices)}`];
    return [...argument, ...options];
  });
  const named = (one: Command, when: string): string =>
    `complete -c rivya-temporal -n ${quote(when)} -f -a ${one.name()} -d ${quote(one.description())}`;
  const inGroups = groupsOf(program).flatMap((group) =>
    group.commands.map((one) => named(one, `${seen(group.name())}; and not ${seen(namesIn(group))}`)),
  );
  return [...program.commands.map((one) => named(one, '__fish_use_subcommand')), ...inGroups, ...lines].join('\n');
}
