import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { packageRoot } from '../../diagnostics/package-root.js'

/** Where source texts come from. `read` takes a path as the user or an import wrote it, `null` where there is none. */
export interface SourceHost {
  read(path: string): string | null
  /** The presets behind `import "std/..."`; the package's own where this is absent. */
  std?(path: string): string | null
}

/** Files below a folder, the working directory by default. */
export function nodeHost(folder: string = process.cwd()): SourceHost {
  return { read: (path) => readText(resolve(folder, path)) }
}

/** A preset of the package: `std/dinov2.dino`. */
export function packagedPreset(path: string): string | null {
  return readText(join(packageRoot(), 'experiments', path))
}

function readText(path: string): string | null {
  try {
    return existsSync(path) ? readFileSync(path, 'utf8') : null
  } catch {
    return null
  }
}
