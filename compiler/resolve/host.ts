import { existsSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { packageRoot } from '../../diagnostics/package-root.js'

/** Where source texts come from. `read` takes a path as the user or an import wrote it, `null` where there is none. */
export interface SourceHost {
  read(path: string): string | null
  /** Why there is none, where that is known: `it is a folder`. */
  why?(path: string): string | null
  /** The presets behind `import "std/..."`; the package's own where this is absent. */
  std?(path: string): string | null
}

/** Files below a folder, the working directory by default. */
export function nodeHost(folder: string = process.cwd()): SourceHost {
  return {
    read: (path) => readText(resolve(folder, path)),
    why: (path) => faultOf(resolve(folder, path)),
  }
}

/** A preset of the package: `std/dinov2.dino`. */
export function packagedPreset(path: string): string | null {
  return readText(join(packageRoot(), 'experiments', path))
}

function faultOf(path: string): string | null {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return 'it is a folder'
  return existsSync(path) ? 'it may not be read' : 'there is no such file'
}

function readText(path: string): string | null {
  try {
    return existsSync(path) ? readFileSync(path, 'utf8') : null
  } catch {
    return null
  }
}
