// Steps of ours beside the same steps in PyTorch, in turn, each in a process of its own:
//   npm run bench:peer -- [--cases NAME,NAME] [--pairs N] [--steps N] [--threads N] [--write] [--setup]
// PyTorch is taken from DINO_PEER_PYTHON, else from .peer/, which --setup makes (a few gigabytes from PyPI).
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { cases } from '../bench/runner/cases.mjs'
import { compare, markdown } from '../bench/runner/figures.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const { values: options } = parseArgs({
  options: {
    cases: { type: 'string' },
    pairs: { type: 'string', default: '5' },
    steps: { type: 'string', default: '3' },
    threads: { type: 'string', default: String(cpus().length) },
    write: { type: 'boolean', default: false },
    setup: { type: 'boolean', default: false },
  },
})

const own = join(root, '.peer/bin/python')
if (options.setup) setUp()
const python = process.env.DINO_PEER_PYTHON ?? own
const torch = spawnSync(python, ['-c', 'import torch; print(torch.__version__)'], { encoding: 'utf8' })
if (torch.status !== 0) {
  console.error(
    'the comparison needs Python with PyTorch, which is not here: `npm run bench:peer -- --setup` puts it into .peer/,\n' +
      'or name a Python that has it: DINO_PEER_PYTHON=/path/to/python npm run bench:peer',
  )
  process.exit(2)
}

const known = cases.map(({ name }) => name)
const names = options.cases?.split(',') ?? known
const unknown = names.filter((name) => !known.includes(name))
if (unknown.length > 0) {
  console.error(`no case is called ${unknown.join(', ')}: the cases are ${known.join(', ')}`)
  process.exit(2)
}

const check = spawnSync(python, ['bench/peer/check.py', 'test/golden/fixtures'], { cwd: root, encoding: 'utf8' })
process.stderr.write(check.stdout + check.stderr)
if (check.status !== 0) process.exit(1)

const scratch = mkdtempSync(join(tmpdir(), 'dinoc-peer-'))
const peak = peakGflops()
const rows = []
try {
  for (const one of cases.filter(({ name }) => names.includes(name))) {
    const pairs = []
    for (let i = 0; i < Number(options.pairs); i++) {
      const pair = { ours: ours(one), peer: peer(one) }
      process.stderr.write(
        `${one.name} ${i + 1}: ${pair.ours.imagesPerSecond.toFixed(2)} and ${pair.peer.imagesPerSecond.toFixed(2)} images/s\n`,
      )
      pairs.push(pair)
    }
    rows.push(compare(one, pairs, peak))
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
const page = [
  `# Steps beside PyTorch ${torch.stdout.trim().split('+')[0]}`,
  '',
  `${cpus()[0].model}, ${cpus().length} cores, ${options.threads} threads; multiply-adds alone ${peak === null ? 'not measured' : `${peak.toFixed(0)} GFLOP/s`}. ` +
    'Whole float32 training steps on synthetic inputs but where a name says bf16, the two programs in turn; the ratio is the median over pairs.',
  '',
  markdown(rows),
  '',
].join('\n')
process.stdout.write(page)
if (options.write) {
  const file = join(root, `bench/${new Date().toISOString().slice(0, 10)}-pytorch.md`)
  writeFileSync(file, page)
  console.error(`written to ${file}`)
}

function ours({ ours }) {
  const args = ['dist/cli/main.js', 'bench', `bench/models.dino#${ours}`, '--json', '--steps', options.steps]
  return lastLine('node', [...args, '--threads', options.threads])
}

function peer({ ours, peer }) {
  const file = join(scratch, `${ours}.json`)
  if (!existsSync(file))
    writeFileSync(file, run('node', ['dist/cli/main.js', 'resolve', `bench/models.dino#${ours}`, '--json']))
  const args = ['bench/peer/main.py', file, '--steps', options.steps, '--threads', options.threads]
  return lastLine(python, [...args, ...peer])
}

function lastLine(command, args) {
  return JSON.parse(run(command, args).trim().split('\n').at(-1))
}

function run(command, args) {
  const done = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (done.status === 0) return done.stdout
  console.error(`${command} ${args.join(' ')} failed:\n${done.stderr}`)
  process.exit(1)
}

/** Of all threads; null where there is no compiler to build the measurement with. */
function peakGflops() {
  const best = spawnSync('node', ['scripts/bench-native.mjs', `--peak=${options.threads}`], {
    cwd: root,
    encoding: 'utf8',
  })
  const found = /^([\d.]+) GFLOP\/s/m.exec(best.stdout)
  return found === null ? null : Number(found[1])
}

function setUp() {
  for (const [command, ...args] of [
    ['python3', '-m', 'venv', '.peer'],
    [own, '-m', 'pip', 'install', '--quiet', 'torch', 'numpy'],
  ]) {
    const done = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
    if (done.status === 0) continue
    console.error(`${[command, ...args].join(' ')} failed`)
    process.exit(2)
  }
}
