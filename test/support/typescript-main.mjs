// `node --import ./test/support/typescript-main.mjs cli/main.ts ...` runs the sources, processes that it forks included.
import { register } from 'node:module'

register('./typescript-hooks.mjs', import.meta.url)
