import { writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Has V8 collect at once: buffers outside its heap, such as an evaluation leaves a hundred megabytes of, do not hurry it.
 * Some tens of milliseconds.
 */
export function collectGarbage(): void {
  collect ??= exposed()
  collect()
}
let collect: (() => void) | undefined

function exposed(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

/** Lets the peak count from here on, so that it is that of one run: false where the system has no such thing (Linux has). */
export function forgetPeak(): boolean {
  try {
    writeFileSync('/proc/self/clear_refs', '5')
    return true
  } catch {
    return false
  }
}

/** The most that the process had resident since it began, or since `forgetPeak`. */
export function processPeakBytes(): number {
  return process.resourceUsage().maxRSS * 1024
}
