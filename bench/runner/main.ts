// Steps of ours beside the same steps in PyTorch, in turn, each in a process of its own.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Case, cases } from './cases.js'
import { compare, markdown, type Pair, type Row } from './figures.js'
import {
  benchStep,
  count,
  lastLine,
  machine,
  pick,
  publish,
  readOptions,
  refuse,
  root,
  run,
} from './programs.js'

const usage = `npm run bench:peer -- [--cases NAME,NAME] [--pairs N] [--steps N] [--threads N] [--write] [--setup]
PyTorch is taken from DINO_PEER_PYTHON, else from .peer/, which --setup makes (a few gigabytes from PyPI).`
const read = () =>
  parseArgs({
    options: {
      cases: { type: 'string' },
      pairs: { type: 'string', default: '5' },
      steps: { type: 'string', default: '3' },
      threads: { type: 'string', default: String(cpus().length) },
      write: { type: 'boolean', default: false },
      setup: { type: 'boolean', default: false },
    },
  })
const { values: options } = readOptions(usage, read)
const chosen = pick(cases, options.cases)
const pairsOfEach = count('pairs', options.pairs)
count('steps', options.steps)
count('threads', options.threads)
const own = join(root, '.peer/bin/python')
if (options.setup) setUp()

const python = process.env.DINO_PEER_PYTHON ?? own
const torch = spawnSync(python, ['-c', 'import numpy, torch; print(torch.__version__)'], { encoding: 'utf8' })
if (torch.status !== 0)
  refuse(
    'the comparison needs Python with PyTorch and NumPy, which are not here: `npm run bench:peer -- --setup` puts them into .peer/,\n' +
      'or name a Python that has them: DINO_PEER_PYTHON=PYTHON npm run bench:peer',
  )

const check = spawnSync(python, ['bench/peer/check.py', 'test/golden/fixtures'], {
  cwd: root,
  encoding: 'utf8',
})
process.stderr.write(check.stdout + check.stderr)
if (check.status !== 0) refuse('the peer does not compute the published step: its times would mean nothing')

const scratch = mkdtempSync(join(tmpdir(), 'dinoc-peer-'))
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))
const peak = peakGflops()
const rows: Row[] = []
for (const one of chosen) {
  const pairs: Pair[] = []
  for (let i = 1; i <= pairsOfEach; i++) {
    const pair = { ours: runOurs(one), peer: runPeer(one) }
    const [a, b] = [pair.ours, pair.peer].map((side) => side.imagesPerSecond.toFixed(2))
    process.stderr.write(`${one.name} ${i}: ${a} and ${b} images/s\n`)
    pairs.push(pair)
  }
  rows.push(compare(one, pairs, peak))
}

const page = [
  `# Steps beside PyTorch ${torch.stdout.trim().split('+')[0]}`,
  '',
  `${await machine(Number(options.threads))}; multiply-adds alone ${peak === null ? 'not measured' : `${peak.toFixed(0)} GFLOP/s`}. ` +
    'Whole training steps on synthetic inputs, float32 unless a name says bf16, the two programs in turn; the ratio is ' +
    'the median over pairs.',
  '',
  markdown(rows),
  '',
].join('\n')
publish(page, 'pytorch', options.cases, options.write)

function runOurs({ ours }: Case): Pair['ours'] {
  return benchStep(`bench/models.dino#${ours}`, ['--steps', options.steps, '--threads', options.threads])
}

function runPeer({ ours, peer }: Case): Pair['peer'] {
  const file = join(scratch, `${ours}.json`)
  if (!existsSync(file))
    writeFileSync(file, run('node', ['dist/cli/main.js', 'resolve', `bench/models.dino#${ours}`, '--json']))
  const args = ['bench/peer/main.py', file, '--steps', options.steps, '--threads', options.threads]
  return lastLine(python, [...args, ...peer]) as Pair['peer']
}

/** Of all threads; null where there is no compiler to build the measurement with. */
function peakGflops(): number | null {
  const args = ['scripts/bench-native.mjs', `--peak=${options.threads}`]
  const { stdout } = spawnSync('node', args, { cwd: root, encoding: 'utf8' })
  const found = /^([\d.]+) GFLOP\/s/m.exec(stdout)
  return found === null ? null : Number(found[1])
}

function setUp(): void {
  const venv = ['python3', '-m', 'venv', '.peer']
  const install = [own, '-m', 'pip', 'install', '--quiet', 'torch', 'numpy']
  for (const [command, ...args] of [venv, install]) {
    const done = spawnSync(command as string, args, { cwd: root, stdio: 'inherit' })
    if (done.status !== 0) refuse(`${[command, ...args].join(' ')} failed`)
  }
}
