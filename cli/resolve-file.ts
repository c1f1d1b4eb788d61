import { nodeHost } from '../compiler/resolve/host.js'
import { type Resolution, resolve } from '../compiler/resolve/resolve.js'
import { type Diagnostic, DiagnosticError } from '../diagnostics/diagnostic.js'
import type { FileOptions } from './options.js'
import { hasErrors, reportDiagnostics } from './print.js'

/** The experiments of FILE or FILE#experiment.variant; its faults end the command, warnings go to standard error. */
export function resolveFile(entry: string, options: FileOptions, format: 'human' | 'json'): Resolution {
  const resolution = resolveEntry(entry, options)
  reportDiagnostics(warningsOf(resolution), format)
  return resolution
}

/** As `resolveFile`, the warnings not told yet. */
export function resolveEntry(entry: string, options: FileOptions): Resolution {
  const resolution = resolve(entry, nodeHost(), { ...options, env: process.env })
  if (hasErrors(resolution.diagnostics)) throw new DiagnosticError(resolution.diagnostics)
  return resolution
}

export function warningsOf({ diagnostics }: Resolution): Diagnostic[] {
  return diagnostics.filter((d) => d.severity === 'warning')
}
