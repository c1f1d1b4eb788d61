import { Worker } from 'node:worker_threads'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import type { Failure, RenderSetup, RenderTask } from './render.js'
import type { DoneMessage, TaskMessage } from './worker.js'

/** Loader threads that take tasks in order of asking. */
export interface RenderPool {
  /** Rejects with DINO1013 once a thread has died. */
  run(task: RenderTask): Promise<readonly Failure[]>
  /** Lets tasks under way end, then ends the threads. */
  close(): Promise<void>
}

interface Pending {
  readonly message: TaskMessage
  resolve(failures: readonly Failure[]): void
  reject(error: unknown): void
}

interface Thread {
  readonly worker: Worker
  /** Tasks it has been given, by id. */
  readonly given: Map<number, Pending>
  readonly ended: Promise<void>
}

/** Tasks that a thread has at a time: one at work, one waiting so that it never idles. */
const tasksPerThread = 2

export function openPool(setup: RenderSetup, threads: number): RenderPool {
  const waiting: Pending[] = []
  const all: Thread[] = []
  let dead: DiagnosticError | null = null
  let closing = false
  let lastId = 0

  function start(): Thread {
    const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js'
    const worker = new Worker(new URL(file, import.meta.url), { workerData: setup, name: 'dinoc-loader' })
    // An idle pool keeps no process alive.
    worker.unref()
    const given = new Map<number, Pending>()
    worker.on('message', ({ id, failures }: DoneMessage) => {
      const pending = given.get(id)
      given.delete(id)
      if (given.size === 0) worker.unref()
      pending?.resolve(failures)
      give()
    })
    worker.on('error', (error) => fail(error instanceof Error ? error.message : String(error)))
    const ended = new Promise<void>((resolve) => {
      worker.on('exit', (code) => {
        if (!closing) fail(`it exited with code ${code}`)
        resolve()
      })
    })
    return { worker, given, ended }
  }

  function fail(reason: string) {
    dead ??= new DiagnosticError([diagnose('DINO1013', null, { reason })])
    const lost = [...waiting.splice(0), ...all.flatMap((thread) => [...thread.given.values()])]
    for (const thread of all) thread.given.clear()
    for (const pending of lost) pending.reject(dead)
  }

  function give() {
    for (let depth = 1; depth <= tasksPerThread; depth++) {
      for (const { worker, given } of all) {
        if (given.size >= depth) continue
        const pending = waiting.shift()
        if (!pending) return
        if (given.size === 0) worker.ref()
        given.set(pending.message.id, pending)
        worker.postMessage(pending.message)
      }
    }
  }

  return {
    run(task) {
      return new Promise((resolve, reject) => {
        if (dead || closing) {
          reject(dead ?? new Error('the loader pool is closed'))
          return
        }
        // Not before there is work: a run that was finished earlier needs none.
        while (all.length < threads) all.push(start())
        waiting.push({ message: { id: ++lastId, task }, resolve, reject })
        give()
      })
    },
    async close() {
      closing = true
      for (const pending of waiting.splice(0)) pending.reject(new Error('the loader pool is closed'))
      for (const { worker, given } of all) {
        // Nobody may wait for these any more; the thread ends them before it closes its port.
        for (const pending of given.values()) pending.reject(new Error('the loader pool is closed'))
        given.clear()
        worker.postMessage('close')
      }
      await Promise.all(all.map(({ worker, ended }) => endWithin(worker, ended, 5000)))
    },
  }
}

async function endWithin(worker: Worker, ended: Promise<void>, milliseconds: number) {
  worker.ref()
  const timer = setTimeout(() => void worker.terminate(), milliseconds)
  await ended
  clearTimeout(timer)
}
