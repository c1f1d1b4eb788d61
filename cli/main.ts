#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { commands } from './commands.js'
import { exit } from './exit.js'
import { version } from './version.js'

/**
 * The command line: a table of commands, of which only the called one is loaded. Results go to standard output,
 * everything else to standard error; a reader that closes its end early ends the program quietly.
 */
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? exit.good)
    throw error
  })

try {
  await main(process.argv.slice(2))
} catch (error) {
  const { reportFailure } = await import('./failure.js')
  process.exitCode = reportFailure(error, process.argv.slice(2))
}

async function main(args: readonly string[]): Promise<void> {
  const program = new Command('dinoc')
    .description('Self-supervised vision experiments as a short declarative text')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help on a command')
    .showSuggestionAfterError(true)
    .configureOutput({ outputError: () => {} })
    .exitOverride()
  const called = args.filter((arg) => !arg.startsWith('-')).slice(0, args[0] === 'help' ? 2 : 1)
  for (const entry of commands) {
    const command = program.command(entry.name).description(entry.summary)
    command.copyInheritedSettings(program)
    if (called.includes(entry.name)) (await entry.load()).define(command, commands)
  }
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    // help and version end the program as an exception
    if (error instanceof CommanderError && error.exitCode === 0) return
    throw error
  }
}
