import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export function resolve(specifier, context, next) {
  if (specifier.startsWith('.') && specifier.endsWith('.js') && context.parentURL?.endsWith('.ts')) {
    const source = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL)
    if (existsSync(source)) return { url: source.href, format: 'module', shortCircuit: true }
  }
  return next(specifier, context)
}

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context)
  const path = fileURLToPath(url)
  return {
    format: 'module',
    source: (await stripTypes)(path, readFileSync(path, 'utf8')),
    shortCircuit: true,
  }
}

// vitest brings rolldown, which starts six times faster than the TypeScript compiler.
const stripTypes = import('rolldown/utils').then(
  ({ transformSync }) =>
    (path, text) =>
      transformSync(path, text).code,
  async () => {
    const { default: ts } = await import('typescript')
    const compilerOptions = {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
    }
    return (_path, text) => ts.transpileModule(text, { compilerOptions }).outputText
  },
)
