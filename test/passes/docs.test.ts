import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { collectives, kernels } from '../../compiler/ir/interpret.js'
import { printFunc } from '../../compiler/ir/print.js'
import type { Module } from '../../compiler/ir/types.js'
import { shardsOf } from '../../compiler/lower/shards.js'
import { optimize, type PassName, passNames } from '../../compiler/passes/pipeline.js'
import { sharding } from '../../compiler/passes/shard.js'
import { measure } from '../../compiler/plan/measure.js'
import { tinyExperiment } from '../golden/experiment.js'
import { tinyStep } from './step.js'

/**
 * docs/passes.md shows real text of a small training step before and after each pass. A block of it begins with
 *
 *   <!-- ir: before pack | accumulate | student.backbone -->
 *
 * (when, pass; function; the ops of these modules, a regular expression; at most how many lines), and the table of effects with
 * `<!-- effects -->`. `UPDATE_GOLDEN=1` writes them again.
 */
const page = 'docs/passes.md'

const after = new Map<PassName | 'lower', Module>()
const lowered = tinyStep({}, 0.4)
after.set('lower', lowered)
const all = new Set([...Object.keys({ ...kernels, ...collectives }).map((kind) => `op:${kind}`), 'bf16'])
const options = {
  pack: true,
  fuse: true,
  precision: 'bf16',
  recompute: 'blocks',
  capabilities: new Set([...all].filter((op) => op !== 'op:prototype_cross_entropy')),
} as const
const { trace } = optimize(lowered, {
  ...options,
  measure,
  afterPass: (name, module) => after.set(name, module),
})
/** The same step over two ranks, for the pass that divides it. */
const ranked = new Map<PassName, Module>()
const { hardware, ...experiment } = tinyExperiment()
optimize(lowered, {
  ...options,
  shard: sharding({
    mode: 'fsdp',
    shards: shardsOf({ ...experiment, hardware: { ...hardware, ranks: 2 } }),
  }),
  afterPass: (name, module) => ranked.set(name, module),
})

function moduleAt(when: string, pass: string): Module {
  const at = passNames.indexOf(pass as PassName)
  const name = when === 'after' ? pass : at === 0 ? 'lower' : passNames[at - 1]
  const module = (pass === 'shard' ? ranked : after).get(name as PassName)
  if (at < 0 || module === undefined) throw new Error(`${page} names the pass ${pass}, which there is not`)
  return module
}

/** The printed ops of some modules, at most `limit` lines, with the numbers, names and attributes that say least cut. */
function excerpt(when: string, pass: string, func: string, modules: string, limit: number): string {
  const module = moduleAt(when, pass)
  const lines = printFunc(module.functions[func]!, { types: false }).split('\n')
  const wanted = new RegExp(`^  -- (${modules}) \\(`)
  const chosen: string[] = []
  let place = ''
  let inside = false
  for (const line of lines) {
    if (line.startsWith('  -- ')) {
      inside = wanted.test(line)
      if (inside && line !== place) chosen.push(line.slice(2))
      if (inside) place = line
    } else if (inside && !line.startsWith('  return') && !line.startsWith('    ') && line !== '}')
      chosen.push(shortened(line.slice(2)))
  }
  const shown = chosen.slice(0, limit)
  while (shown.at(-1)?.startsWith('--')) shown.pop()
  const text = shown.map((line) => (line.length > 118 ? `${line.slice(0, 117)}…` : line)).join('\n')
  const numbers = new Map<string, number>()
  return text.replace(/%\d+\b/g, (id) => {
    if (!numbers.has(id)) numbers.set(id, numbers.size + 1)
    return `%${numbers.get(id)}`
  })
}

const shortened = (line: string) =>
  line
    .replace(/%(student|teacher)_(backbone|dino_head|ibot_head)_(blocks_\d+_)?/g, '%')
    .replace(/%blocks_\d+_/g, '%')
    .replace(/%kept_blocks_(\d+)_(attn|ffn)_global_local_/g, '%kept_$1_$2')
    .replace(/; (%\w+), .*?\)/, '; $1, ...)')
    .replace(/(transA|transB): false, /g, '')
    .replace(/\{(epilogue|activation): "none", /, '{')
    .replace(/,? ?(epilogue|activation): "none"/, '')
    .replace(/ \{\}/, '')

function effects(): string {
  const rows = trace.map(({ pass, before, after }) => {
    const change = (of: (figures: typeof before) => number, unit: number) => {
      const [was, is] = [before, after].map((figures) => (of(figures) / unit).toFixed(1))
      return was === is ? '' : `${was} → ${is}`
    }
    const ops = before.ops === after.ops ? '' : `${before.ops} → ${after.ops}`
    return `| ${pass} | ${ops} | ${change((f) => f.executedFlops, 1e6)} | ${change((f) => f.bytesMoved, 1e6)} | ${change((f) => f.peakBytes, 1024)} |`
  })
  return ['| pass | ops | MFLOP | MB moved | peak KiB |', '|---|---|---|---|---|', ...rows].join('\n')
}

function written(text: string): string {
  return text
    .replace(
      /<!-- ir: (before|after) (\S+) \| (\S+) \| (\S+)(?: \| (\d+))? -->\n```text\n[\s\S]*?```/g,
      (_, when: string, pass: string, func: string, modules: string, limit: string | undefined) =>
        `<!-- ir: ${when} ${pass} | ${func} | ${modules}${limit ? ` | ${limit}` : ''} -->\n\`\`\`text\n${excerpt(when, pass, func, modules, Number(limit ?? 12))}\n\`\`\``,
    )
    .replace(/<!-- effects -->\n[\s\S]*?(?=\n\n|\n$)/, () => `<!-- effects -->\n${effects()}`)
}

describe('docs/passes.md', () => {
  it('shows what the passes really do', () => {
    const text = readFileSync(page, 'utf8')
    const now = written(text)
    if (process.env.UPDATE_GOLDEN) writeFileSync(page, now)
    else expect(text, 'UPDATE_GOLDEN=1 npx vitest run test/passes/docs.test.ts').toBe(now)
    for (const pass of passNames) expect(now, pass).toContain(`## ${pass}`)
  })
})
