import { type Resolution, type ResolveOptions, resolve } from '../../compiler/resolve/resolve.js'
import type { ResolvedExperiment } from '../../compiler/resolve/resolved.js'

/** Resolves a text as `test.dino`; a line `// --- name` begins another file. */
export function resolveText(
  text: string,
  options: Partial<ResolveOptions> & { entry?: string } = {},
): Resolution {
  const files = splitFiles(text, 'test.dino')
  return resolve(
    options.entry ?? 'test.dino',
    { read: (path) => files.get(path) ?? null },
    { set: options.set ?? [], params: options.params ?? {}, env: options.env ?? {} },
  )
}

export function splitFiles(text: string, first: string): Map<string, string> {
  const files = new Map<string, string>()
  let name = first
  let lines: string[] = []
  for (const line of text.split('\n')) {
    const next = /^\/\/ --- (.*)$/.exec(line)
    if (next === null) {
      lines.push(line)
      continue
    }
    files.set(name, lines.join('\n'))
    name = next[1]!
    lines = []
  }
  files.set(name, lines.join('\n'))
  return files
}

/** The whole diagnostic list, one line each: `error DINO0502 3:7 message`. */
export function listed(resolution: Resolution): string[] {
  return resolution.diagnostics.map((d) => {
    const span = d.primary?.span
    const file = span === undefined || span.file === 'test.dino' ? '' : `${span.file}:`
    const at = span === undefined ? '-' : `${file}${span.startLine}:${span.startColumn}`
    return `${d.severity} ${d.code} ${at} ${d.message}`
  })
}

/** The only experiment's variant, from a text without errors. */
export function variantOf(
  text: string,
  name = 'full',
  options: Parameters<typeof resolveText>[1] = {},
): ResolvedExperiment {
  const resolution = resolveText(text, options)
  const family = resolution.experiments.at(-1)
  const variant = family?.variants.find((v) => v.resolved.variant === name)
  if (variant === undefined) throw new Error(`no ${name}: ${listed(resolution).join('\n')}`)
  return variant.resolved
}

/** An experiment on `vit_nano` with the statements. */
export function small(body: string, before = ''): string {
  return `import { vit_nano } from "std/dinov2.dino"\n${before}experiment small extends vit_nano {\n${body}\n}\n`
}
