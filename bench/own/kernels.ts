import { run } from '../runner/programs.js'
import type { Context } from './context.js'
import { type Section, tableText } from './figures.js'

/** What `npm run bench:native` prints, as a table. */
export function kernels({ tell }: Context): Section {
  tell('kernels: a few minutes without a word')
  return kernelSection(run('node', ['scripts/bench-native.mjs']))
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
