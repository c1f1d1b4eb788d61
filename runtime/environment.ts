import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Device } from './devices/device.js'

/** environment.json: what a result came from, for whoever finds it in a year. */
export interface Environment {
  readonly formatVersion: 1
  readonly dinoc: string
  /** What one types to make the runs again, with their file and its settings; missing in runs of earlier versions. */
  readonly command?: string
  readonly node: string
  /** The repository of the working directory, where the `.dino` file usually lives; null outside of one. */
  readonly commit: { readonly hash: string; readonly dirty: boolean } | null
  readonly device: { readonly name: string; readonly isa: string; readonly description: string }
  readonly machine: {
    readonly platform: string
    readonly cpu: string
    readonly cores: number
    readonly memoryBytes: number
  }
  /** Null: all cores. */
  readonly threads: number | null
  readonly loaders: number | null
}

export function describeEnvironment(
  device: Device,
  threads: number | null,
  loaders: number | null,
  command: string,
): Environment {
  const { isa, description } = device.capabilities()
  return {
    formatVersion: 1,
    dinoc: packageVersion(),
    command,
    node: process.version,
    commit: commitOf(process.cwd()),
    device: { name: device.name, isa: isa ?? '', description },
    machine: {
      platform: `${os.platform()} ${os.release()} ${os.arch()}`,
      cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
      cores: os.availableParallelism(),
      memoryBytes: os.totalmem(),
    },
    threads,
    loaders,
  }
}

function packageVersion(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  for (let up = 0; up < 5; up++) {
    try {
      const found = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Record<
        string,
        unknown
      >
      if (found.name === 'dinoc') return String(found.version)
    } catch {
      // Not here: one directory up.
    }
    directory = dirname(directory)
  }
  return 'unknown'
}

function commitOf(directory: string): Environment['commit'] {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, {
        cwd: directory,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
        timeout: 5000,
      })
    const hash = git('rev-parse', 'HEAD').trim()
    return { hash, dirty: git('status', '--porcelain', '--untracked-files=no').trim() !== '' }
  } catch {
    return null
  }
}
