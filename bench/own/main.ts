// Ways of computing the same beside one another, ours all of them, in turn.
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { count, machine, pick, publish, readOptions, root } from '../runner/programs.js'
import { attention } from './attention.js'
import type { Case } from './context.js'
import { page, type Section } from './figures.js'
import { kernels } from './kernels.js'
import { packing } from './packing.js'
import { prototypes } from './prototypes.js'
import { ranks } from './ranks.js'
import { realRun } from './real-run.js'

const cases: readonly Case[] = [
  { name: 'packing', run: packing },
  { name: 'attention', run: attention },
  { name: 'prototypes', run: prototypes },
  { name: 'real-run', run: realRun },
  { name: 'ranks', run: ranks },
  { name: 'kernels', run: kernels },
]

const usage = 'npm run bench:own -- [--cases NAME,NAME] [--pairs N] [--threads N] [--write]'
const read = () =>
  parseArgs({
    options: {
      cases: { type: 'string' },
      pairs: { type: 'string', default: '5' },
      threads: { type: 'string', default: String(cpus().length) },
      write: { type: 'boolean', default: false },
    },
  })
const { values: options } = readOptions(usage, read)
const chosen = pick(cases, options.cases)
const [pairs, threads] = [count('pairs', options.pairs), count('threads', options.threads)]
process.chdir(root)
const scratch = mkdtempSync(join(tmpdir(), 'dinoc-own-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

const sections: Section[] = []
for (const one of chosen)
  sections.push(await one.run({ pairs, threads, scratch, tell: (line) => console.error(line) }))
publish(page(await machine(threads), sections), 'own', options.cases, options.write)
