import type { RunEvent } from '../runtime/events.js'
import { runHere, sharedDevices, type ToChild } from './execute.js'

/**
 * The process of one job under `run --jobs N`. It lives only as long as its parent: the lock on the run directory is
 * the parent's, so without it nothing may be written any more.
 */
let stopping = false
let over = false
// The terminal sends ^C to the whole group; the parent decides what it means.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit(over ? 0 : 1))
process.on('message', (message: ToChild) => {
  if (message.type === 'stop') {
    stopping = true
    return
  }
  const { job, settings } = message
  const emit = (event: RunEvent): void => void process.send?.(event)
  const devices = sharedDevices(settings)
  void runHere(job, settings, devices.open, () => stopping, emit)
    .then(devices.close)
    .finally(() => {
      over = true
      process.disconnect()
    })
})
