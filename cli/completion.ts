import { Command } from 'commander'
import type { CommandEntry } from './command.js'
import { exit } from './exit.js'
import { UsageError } from './usage-error.js'

const shells = { bash: bashScript, zsh: zshScript, fish: fishScript } as const

interface Completed {
  readonly name: string
  readonly summary: string
  readonly options: readonly {
    readonly flag: string
    readonly text: string
    readonly choices: readonly string[]
  }[]
}

export function define(command: Command, all: readonly CommandEntry[]): void {
  command
    .argument('<shell>', 'bash, zsh or fish')
    .addHelpText(
      'after',
      `
bash   add to ~/.bashrc:   source <(dinoc completion bash)
zsh    add to ~/.zshrc:    source <(dinoc completion zsh)
fish   run once:           dinoc completion fish > ~/.config/fish/completions/dinoc.fish`,
    )
    .action(async (shell: string) => {
      const script = Object.hasOwn(shells, shell) ? shells[shell as keyof typeof shells] : null
      if (!script)
        throw new UsageError(`there is no completion for \`${shell}\``, ['write bash, zsh or fish'])
      process.stdout.write(script(await described(all)))
      process.exitCode = exit.good
    })
}

/** Every command with its options, read from the same definitions that parse the command line. */
async function described(all: readonly CommandEntry[]): Promise<Completed[]> {
  return Promise.all(
    all.map(async ({ name, summary, load }) => {
      const command = new Command(name)
      ;(await load()).define(command, all)
      const options = command.options.map((o) => ({
        flag: o.long ?? o.short!,
        text: o.description,
        choices: o.argChoices ?? [],
      }))
      return { name, summary, options: [...options, { flag: '--help', text: 'print help', choices: [] }] }
    }),
  )
}

function bashScript(all: readonly Completed[]): string {
  const cases = all.map(({ name, options }) => {
    const choices = options
      .filter((o) => o.choices.length > 0)
      .map(
        (o) =>
          `        ${o.flag}) COMPREPLY=($(compgen -W "${o.choices.join(' ')}" -- "$word")); return ;;\n`,
      )
      .join('')
    const previous = choices ? `      case "$previous" in\n${choices}      esac\n` : ''
    return `    ${name})\n${previous}      words="${options.map((o) => o.flag).join(' ')}" ;;\n`
  })
  return `# completion of dinoc for bash
_dinoc() {
  local word="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${all.map((c) => c.name).join(' ')} help --help --version" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
    explain) [[ "$word" != -* ]] && return ;;
    completion) COMPREPLY=($(compgen -W "${Object.keys(shells).join(' ')}" -- "$word")); return ;;
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join('')}  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  else
    local IFS=$'\\n'
    compopt -o filenames
    COMPREPLY=($(compgen -f -X '!*.dino' -- "$word") $(compgen -d -- "$word"))
  fi
}
complete -F _dinoc dinoc
`
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

function zshScript(all: readonly Completed[]): string {
  const names = all.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`)
  const escaped = (text: string) => text.replaceAll(/[[\]:]/g, '\\$&')
  const cases = all.map(({ name, options }) => {
    const args = options.map((o) => {
      const value = o.choices.length > 0 ? `:value:(${o.choices.join(' ')})` : ''
      return quoted(`${o.flag}[${escaped(o.text)}]${value}`)
    })
    const operand =
      name === 'completion' ? `'*:shell:(${Object.keys(shells).join(' ')})'` : `'*:file:_files -g "*.dino"'`
    return `    ${name}) _arguments ${args.join(' ')} ${operand} ;;`
  })
  return `#compdef dinoc
_dinoc() {
  local -a names
  names=(
${names.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command names
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases.join('\n')}
  esac
}
compdef _dinoc dinoc
`
}

function fishScript(all: readonly Completed[]): string {
  const lines = all.flatMap(({ name, summary, options }) => [
    `complete -c dinoc -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    ...options.map(({ flag, text, choices }) => {
      const values = choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : ''
      return `complete -c dinoc -n '__fish_seen_subcommand_from ${name}' -l ${flag.replace(/^-+/, '')} -d ${quoted(text)}${values}`
    }),
  ])
  return `# completion of dinoc for fish
complete -c dinoc -f
${lines.join('\n')}
complete -c dinoc -n '__fish_seen_subcommand_from completion' -a '${Object.keys(shells).join(' ')}'
complete -c dinoc -n 'not __fish_use_subcommand' -a '(__fish_complete_suffix .dino)'
`
}
