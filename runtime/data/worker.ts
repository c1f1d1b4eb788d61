import { parentPort, workerData } from 'node:worker_threads'
import sharp from 'sharp'
import { createRenderer, type Failure, type RenderSetup, type RenderTask } from './render.js'

/** A loader thread: tasks in, failures out. What is rendered goes through shared memory. */
export interface TaskMessage {
  readonly id: number
  readonly task: RenderTask
}
export interface DoneMessage {
  readonly id: number
  readonly failures: readonly Failure[]
}

const port = parentPort
if (port) {
  // One image at a time on one thread each: parallel work comes from the pool.
  sharp.concurrency(1)
  sharp.cache(false)
  const render = createRenderer(workerData as RenderSetup)
  port.on('message', (message: TaskMessage | 'close') => {
    if (message === 'close') {
      port.close()
      return
    }
    const { id, task } = message
    render(task).then(
      (failures) => port.postMessage({ id, failures } satisfies DoneMessage),
      // Anything but an unreadable image is a bug: let the thread die with it, the pool reports it.
      (error: unknown) =>
        setImmediate(() => {
          throw error
        }),
    )
  })
}
