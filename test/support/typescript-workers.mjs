// Lets worker threads of the tests import the TypeScript sources, as vitest lets the main thread.
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

if (!isMainThread) register('./typescript-hooks.mjs', import.meta.url)
