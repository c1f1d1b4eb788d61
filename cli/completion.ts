import { Command } from 'commander'
import { passNames } from '../compiler/passes/pipeline.js'
import { deviceNames } from '../runtime/devices/registry.js'
import type { CommandEntry } from './command.js'
import { exit } from './exit.js'
import { emitStages } from './plan/emit.js'
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
    .argument('<shell>', 'bash, zsh or fish; `variants` lists those of FILE, for the scripts')
    .argument('[file]', 'with `variants`: the file of the experiments')
    .addHelpText(
      'after',
      `
bash   add to ~/.bashrc:   source <(dinoc completion bash)
zsh    add to ~/.zshrc:    source <(dinoc completion zsh)
fish   run once:           dinoc completion fish > ~/.config/fish/completions/dinoc.fish`,
    )
    .action(async (shell: string, file?: string) => {
      process.exitCode = exit.good
      if (shell === 'variants' && file !== undefined) {
        process.stdout.write((await variantsOf(file)).map((name) => `${name}\n`).join(''))
        return
      }
      const script = Object.hasOwn(shells, shell) ? shells[shell as keyof typeof shells] : null
      if (!script)
        throw new UsageError(`there is no completion for \`${shell}\``, ['write bash, zsh or fish'])
      process.stdout.write(script(await described(all)))
    })
}

/** Names for `--only`. A file with faults has none: completion is no place to report them. */
async function variantsOf(file: string): Promise<string[]> {
  const [{ resolve }, { nodeHost }] = await Promise.all([
    import('../compiler/resolve/resolve.js'),
    import('../compiler/resolve/host.js'),
  ])
  const { experiments } = resolve(file, nodeHost(), { set: [], params: {}, env: process.env })
  const variants = experiments.flatMap((family) => family.variants.filter((v) => v.aliasOf === null))
  return [...new Set(variants.map(({ resolved }) => resolved.variant))]
}

/** Values of options whose parser takes any text and names what is wrong with it. */
const knownValues: Readonly<Record<string, readonly string[]>> = {
  '--device': deviceNames,
  '--after': passNames,
  '--emit': emitStages,
  '--of': ['teacher', 'student', 'keep'],
  '--what': ['cls', 'patches', 'cls,patches'],
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
        choices: o.argChoices ?? knownValues[o.long ?? ''] ?? [],
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
    const only = options.some((o) => o.flag === '--only')
      ? '        --only) _dinoc_variants; return ;;\n'
      : ''
    const cases = only + choices
    const previous = cases ? `      case "$previous" in\n${cases}      esac\n` : ''
    return `    ${name})\n${previous}      words="${options.map((o) => o.flag).join(' ')}" ;;\n`
  })
  return `# completion of dinoc for bash
# Names behind --only: those of the file on the line; after a comma the next one.
_dinoc_variants() {
  local file="" one done="" IFS=$'\\n'
  for one in "\${COMP_WORDS[@]}"; do [[ "$one" == *.dino || "$one" == *.dino#* ]] && file="$one"; done
  [ -n "$file" ] || return
  [[ "$word" == *,* ]] && done="\${word%,*},"
  for one in $("\${COMP_WORDS[0]}" completion variants "$file" 2>/dev/null); do
    [[ "$done$one" == "$word"* ]] && COMPREPLY+=("$done$one")
  done
}
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
