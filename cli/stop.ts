import type { StopSwitch } from './execute.js'
import { exit } from './exit.js'

/**
 * ^C and TERM: the first asks for a checkpoint and an end between two steps, the second ends the process at once, which
 * loses no more than the steps since the last checkpoint.
 */
export function stopOnSignals(
  told: (signal: NodeJS.Signals) => void,
  atOnce: () => void,
): StopSwitch & {
  /** Of the signal that came, null where none did. */
  exitStatus(): number | null
  close(): void
} {
  const listeners: ((now: boolean) => void)[] = []
  let first: NodeJS.Signals | null = null
  const status = (signal: NodeJS.Signals): number =>
    signal === 'SIGINT' ? exit.interrupted : exit.terminated
  const handle = (signal: NodeJS.Signals): void => {
    const now = first !== null
    first ??= signal
    for (const listener of listeners) listener(now)
    if (!now) {
      told(signal)
      return
    }
    atOnce()
    process.exit(status(first))
  }
  process.on('SIGINT', handle)
  process.on('SIGTERM', handle)
  return {
    stopping: () => first !== null,
    onStop: (listener) => void listeners.push(listener),
    exitStatus: () => (first === null ? null : status(first)),
    close() {
      process.off('SIGINT', handle)
      process.off('SIGTERM', handle)
    },
  }
}
