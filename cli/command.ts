import type { Command } from 'commander'

/** What a command's file exports: it adds arguments, options and an action that sets the exit status. */
export interface CommandModule {
  /** `all` is the table of commands, for those that speak about the others. */
  define(command: Command, all: readonly CommandEntry[]): void
}

export interface CommandEntry {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<CommandModule>
}
