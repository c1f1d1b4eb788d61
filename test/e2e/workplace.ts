import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { packageRoot } from '../../diagnostics/package-root.js'
import { writePictures } from '../data/small-run.js'

/** A folder with a few pictures and a tiny experiment, in which the command line is run from its sources. */
export interface Workplace {
  readonly directory: string
  dinoc(args: readonly string[], options?: RunOptions): Promise<Ended>
  /** Not awaited: to be killed, interrupted or met by a second one. */
  start(args: readonly string[], options?: RunOptions): Started
  read(path: string): string
  /** Lines of a run's metrics.jsonl without what may differ. */
  metrics(variant: string, seed?: number, runs?: string): object[]
  exists(path: string): boolean
  remove(): void
}

export interface RunOptions {
  /** Blocks of 1024 bytes that one file may have. */
  readonly fileLimit?: number
  readonly env?: Readonly<Record<string, string>>
}

export interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** Until a file has at least so many lines. */
  lines(path: string, count: number): Promise<void>
}

export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly out: string
  readonly err: string
}

/** Trains in a second or two on the oracle. `steps` of 4 images each, checkpoints every 3. */
const experiment = (steps: number): string => `
import { vit_nano } from "std/dinov2.dino"
source pictures: folder { path = "pictures", split = hash(train: 60%, test: 40%) }
experiment tiny extends vit_nano {
  data { train = pictures.train }
  backbone vit { width = 16, depth = 1, heads = 2, patch = 4px, layer_scale = 1.0 }
  crops {
    global { count = 2, size = 16px, scale = 0.32..1.0 }
    local { count = 2, size = 8px, scale = 0.05..0.32 }
  }
  head dino { prototypes = 16, hidden = 16, bottleneck = 8 }
  head ibot { prototypes = 16, hidden = 16, bottleneck = 8 }
  schedule {
    batch = 4 img
    phase pretrain { length = ${steps} steps, resolution = 16px, lr = warmup(0 -> 1e-3 over 2 steps) |> cosine(to: 1e-5) }
  }
  optimizer adamw { freeze_last_layer = 2 steps }
  eval knn { train = pictures.train, test = pictures.test, k = [1, 3], every = 5 steps }
  checkpoint { every = 3 steps, keep = 2 }
  hardware { device = interpret, threads = 1, loaders = 1 }
  ablation {
    seeds = [0]
    primary = eval.knn.top1@1
    variant no_koleo { drop loss.koleo }
  }
}
`

/** What `npm run build` made where it is newer than every source, since it starts faster; else the sources themselves. */
function commandLine(): string[] {
  const root = packageRoot()
  const built = join(root, 'dist/cli/main.js')
  const newest = Math.max(
    ...['cli', 'compiler', 'diagnostics', 'grammar', 'runtime'].map((d) => newestIn(join(root, d))),
  )
  if (fs.existsSync(built) && fs.statSync(built).mtimeMs > newest) return [process.execPath, built]
  const sources = pathToFileURL(join(root, 'test/support/typescript-main.mjs')).href
  return [process.execPath, '--import', sources, join(root, 'cli/main.ts')]
}

function newestIn(directory: string): number {
  return Math.max(
    0,
    ...fs
      .readdirSync(directory, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => fs.statSync(join(entry.parentPath, entry.name)).mtimeMs),
  )
}

export async function workplace(steps: number): Promise<Workplace> {
  const directory = fs.mkdtempSync(join(os.tmpdir(), 'dinoc-e2e-'))
  const names = ['a', 'b', 'c'].flatMap((c) => Array.from({ length: 8 }, (_, i) => `${c}/${i}.png`))
  await writePictures(join(directory, 'pictures'), names)
  fs.writeFileSync(join(directory, 'tiny.dino'), experiment(steps))
  const command = commandLine()

  const start = (args: readonly string[], options: RunOptions = {}): Started => {
    const whole = [...command, ...args]
    const env = { ...process.env, XDG_CACHE_HOME: join(directory, 'cache'), NO_COLOR: '1', ...options.env }
    const child =
      options.fileLimit === undefined
        ? spawn(whole[0]!, whole.slice(1), { cwd: directory, env })
        : spawn('bash', ['-c', `ulimit -f ${options.fileLimit}; exec "$@"`, 'bash', ...whole], {
            cwd: directory,
            env,
          })
    let out = ''
    let err = ''
    child.stdout.on('data', (text: Buffer) => {
      out += text.toString()
    })
    child.stderr.on('data', (text: Buffer) => {
      err += text.toString()
    })
    const ended = once(child, 'close').then(([code, signal]): Ended => ({ code, signal, out, err }))
    return {
      child,
      ended,
      async lines(path, count) {
        const file = join(directory, path)
        for (;;) {
          if (fs.existsSync(file) && fs.readFileSync(file, 'utf8').split('\n').length > count) return
          if (child.exitCode !== null) throw new Error(`it ended before ${path} had ${count} lines:\n${err}`)
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
      },
    }
  }
  return {
    directory,
    start,
    dinoc: (args, options) => start(args, options).ended,
    read: (path) => fs.readFileSync(join(directory, path), 'utf8'),
    metrics: (variant, seed = 0, runs = 'runs') =>
      fs
        .readFileSync(join(directory, runs, 'tiny', variant, `seed-${seed}`, 'metrics.jsonl'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => {
          const { time, ...rest } = JSON.parse(line) as { time: unknown }
          return rest
        }),
    exists: (path) => fs.existsSync(join(directory, path)),
    remove: () => fs.rmSync(directory, { recursive: true, force: true }),
  }
}
