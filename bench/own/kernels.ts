import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { refuse, root } from '../runner/programs.js'
import type { Context } from './context.js'
import { type Section, tableText } from './figures.js'

/** What `npm run bench:native` prints, as a table; each line is told as it comes. */
export async function kernels({ tell }: Context): Promise<Section> {
  const bench = spawn('node', ['scripts/bench-native.mjs'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(bench, 'close') as Promise<[number | null]>
  let printed = ''
  for await (const line of createInterface({ input: bench.stdout })) {
    tell(line)
    printed += `${line}\n`
  }
  const [status] = await ended
  if (status !== 0) refuse('node scripts/bench-native.mjs failed')
  return kernelSection(printed)
}

const kernelLine = /^(.+?) +([\d.]+) ms +([\d.]+) (GFLOP\/s|GB\/s)(?: +([\d.]+) % of (\d+))?$/

export function kernelSection(printed: string): Section {
  const [title, ...lines] = printed.trim().split('\n')
  const rows = lines.map((line) => {
    const found = kernelLine.exec(line)
    if (found === null) throw new Error(`the benchmark of kernels printed \`${line}\``)
    const [, name = '', milliseconds = '', rate = '', unit, percent, peak] = found
    return unit === 'GB/s'
      ? [name, milliseconds, '', '', '', rate]
      : [name, milliseconds, rate, `${percent} %`, peak ?? '', '']
  })
  return {
    title: 'Kernels',
    note: `${title}; in bf16 of dot products of pairs. The shortest of 25 samples, in processor time.`,
    tables: [tableText(['kernel', 'ms', 'GFLOP/s', 'of the peak', 'peak, GFLOP/s', 'GB/s'], rows)],
  }
}
