import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import { dirname, join } from 'node:path'
import { type ExecutionSettings, executeJobs } from '../../cli/execute.js'
import { reportFailure } from '../../cli/failure.js'
import { compileJobs, pickVariants, targetOf } from '../../cli/jobs.js'
import { readSource } from '../../cli/source.js'
import { aligned } from '../../cli/terminal/figures.js'
import { UsageError } from '../../cli/usage-error.js'
import { packageRoot } from '../../diagnostics/package-root.js'
import { openRunDevice } from '../../runtime/devices/registry.js'
import { isEvaluation, readLog } from '../../runtime/metrics-log.js'
import { runFiles } from '../../runtime/run-directory.js'
import { readArguments, usage } from './arguments.js'
import { compareWindows, type Reference } from './windows.js'

/**
 * `npm run parity -- [FILE.dino] [reference.json] [--device D] [--runs DIR] [--jobs N]`: whole runs, at least four
 * seeds an experiment, against what the reference's own modules gave. Prints every window; ends with `N passed,
 * M failed`, and with a non-zero status if anything failed. With --runs, finished runs are kept and not repeated.
 */
async function main(args: readonly string[]): Promise<number> {
  const asked = readArguments(args)
  if (asked === 'help') {
    process.stdout.write(usage)
    return 0
  }
  if ('wrong' in asked) throw new UsageError(asked.wrong, [usage.trimEnd()])
  const file = asked.file ?? join(packageRoot(), 'test/parity/noto_small.dino')
  const reference = readReference(asked.reference ?? join(dirname(file), 'reference.json'))
  const { picked: all } = pickVariants(file, { set: [], params: {} }, { only: null, seeds: null })
  const picked = all
    .filter(({ variant }) => variant.resolved.variant === 'full' && variant.resolved.name in reference)
    .map((pick) => ({ ...pick, seeds: pick.seeds.length >= 4 ? pick.seeds : [0, 1, 2, 3] }))
  for (const name of Object.keys(reference))
    if (!picked.some(({ family }) => family.name === name))
      throw new UsageError(`${file} has no experiment ${name}`)

  const { device } = await openRunDevice(asked.device, 'native', { threads: null })
  const { jobs } = compileJobs(picked, targetOf(device))
  await device.close()
  const root = asked.runs ?? mkdtempSync(join(os.tmpdir(), 'dinoc-parity-'))
  const settings: ExecutionSettings = {
    ...{
      runsRoot: root,
      mode: 'train',
      device: device.name,
      threads: null,
      loaders: null,
      command: 'npm run parity',
      evaluationImages: null,
    },
  }
  try {
    const stop = { stopping: () => false, onStop: () => {} }
    await executeJobs(
      jobs,
      settings,
      asked.jobs,
      () => null,
      stop,
      (job, event) => {
        if (event.type !== 'done') return
        const { experiment, seed } = jobs[job]!.spec
        const { status, seconds, failure } = event.outcome
        process.stderr.write(
          `${experiment} seed ${seed} ${status} ${seconds.toFixed(0)} s ${failure?.message ?? ''}\n`,
        )
      },
    )
    let passed = 0
    let failed = 0
    for (const [name, expected] of Object.entries(reference)) {
      const seeds = await Promise.all(
        jobs
          .filter((job) => job.spec.experiment === name)
          .map((job) => readLog(runFiles(root, job.spec).metrics)),
      )
      const results = compareWindows(expected, seeds)
      passed += results.filter((r) => r.passed).length
      failed += results.filter((r) => !r.passed).length
      const rows = results.map((r) => [
        ...[
          r.window,
          r.column,
          r.found.toPrecision(5),
          r.expected.toPrecision(5),
          `± ${r.tolerance.toPrecision(2)}`,
        ],
        r.passed ? '' : 'FAILED',
      ])
      const head = ['steps', 'column', 'found', 'reference', 'tolerance', '']
      const left = { align: 'left' } as const
      const right = { align: 'right' } as const
      process.stdout.write(`${name}, ${seeds.length} seeds on ${device.name}\n`)
      process.stdout.write(`${aligned([head, ...rows], [left, left, right, right, left, left]).join('\n')}\n`)
      for (const [which, values] of [
        ['untrained', expected.knn_untrained],
        ['trained', expected.knn_trained],
      ] as const) {
        const ours = seeds.flatMap((lines) => {
          const line = which === 'untrained' ? lines[0] : lines.at(-1)
          return line !== undefined && isEvaluation(line)
            ? [Object.values(line.eval)[0]?.['top1@1'] ?? Number.NaN]
            : []
        })
        if (values !== undefined)
          process.stdout.write(`1-NN ${which}: ${list(ours)}   reference ${list(values)} (not judged)\n`)
      }
      process.stdout.write('\n')
    }
    process.stdout.write(`${passed} passed, ${failed} failed\n`)
    return failed > 0 || passed === 0 ? 1 : 0
  } finally {
    if (asked.runs === null) rmSync(root, { recursive: true, force: true })
  }
}

function readReference(path: string): Reference {
  const text = readSource(path)
  try {
    return JSON.parse(text) as Reference
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as Error).message}`)
  }
}

const list = (values: readonly number[]): string => values.map((v) => v.toFixed(4)).join(' ')

const args = process.argv.slice(2)
process.exitCode = await main(args).catch((error: unknown) => reportFailure(error, args))
