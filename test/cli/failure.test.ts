import { pathToFileURL } from 'node:url'
import { afterEach, expect, test, vi } from 'vitest'
import { internalError, reportFailure } from '../../cli/failure.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'
import { packageRoot } from '../../diagnostics/package-root.js'

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

function reported(
  error: unknown,
  args: readonly string[] = ['check', 'a.dino'],
): { status: number; text: string } {
  let text = ''
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    text += chunk
    return true
  })
  vi.stubEnv('NO_COLOR', '1')
  return { status: reportFailure(error, args), text }
}

test('a bug is DINO9999 with a report to send, and no stack', () => {
  const { status, text } = reported(new TypeError('x is not a function'))
  expect(status).toBe(2)
  expect(text).toContain('error[DINO9999]: internal error: x is not a function')
  expect(text).toMatch(/dinoc \d+\.\d+\.\d+, node v/)
  expect(text).toContain('dinoc check a.dino')
  expect(text).not.toMatch(/\n\s+at .*node_modules/)
})

test('the report names places in dinoc only, from its root, wherever it is installed', () => {
  const error = new Error('x')
  const root = pathToFileURL(packageRoot())
  error.stack = [
    'Error: x',
    `    at parse (${root}/dist/grammar/parser.js:12:3)`,
    '    at file:///home/somebody/cli/own.js:1:1',
    `    at run (${root}/node_modules/vega/runtime/x.js:1:1)`,
    `    at ${root}/cli/main.ts:4:5`,
  ].join('\n')
  const lines = internalError(error, []).notes.join('\n').split('\n')
  expect(lines.filter((line) => line.startsWith('  at '))).toEqual([
    '  at parse (grammar/parser.js:12)',
    '  at top level (cli/main.ts:4)',
  ])
})

test('DINO_DEBUG shows the stack', () => {
  vi.stubEnv('DINO_DEBUG', '1')
  expect(reported(new TypeError('x is not a function')).text).toContain('\n    at ')
})

test('anything may be thrown', () => {
  expect(internalError('text', []).message).toBe('internal error: text')
  expect(internalError(undefined, []).message).toBe('internal error: undefined')
})

test("a user's mistake is its diagnostics, as JSON if asked", () => {
  const error = new DiagnosticError([diagnose('DINO9999', null, { what: 'x' })])
  expect(reported(error).text).toContain('error[DINO9999]')
  expect(JSON.parse(reported(error, ['plan', '--json', 'a.dino']).text)).toMatchObject({ code: 'DINO9999' })
})

test('what is typed as an option is shown as a line with its fault marked', () => {
  const set = 'backbone.patch=7'
  const span = {
    file: `--set ${set}`,
    start: 15,
    end: 16,
    startLine: 1,
    startColumn: 16,
    endLine: 1,
    endColumn: 17,
  }
  const fault = diagnose('DINO0402', span, { field: 'patch', expected: 'a length', found: '7' })
  expect(reported(new DiagnosticError([fault])).text).toContain(
    [' --> --set backbone.patch=7:1:16', '  |', '1 | backbone.patch=7', '  |                ^', '  |'].join(
      '\n',
    ),
  )
})

test('a place that cannot be written is no bug', () => {
  const error = Object.assign(new Error("EACCES: permission denied, mkdir '/x/runs'"), {
    ...{ code: 'EACCES', path: '/x/runs', syscall: 'mkdir' },
  })
  const { status, text } = reported(error, ['run', 'a.dino'])
  expect(status).toBe(2)
  expect(text).toContain('error[DINO1032]: cannot write /x/runs: permission is missing')
  expect(text).toContain('the system says EACCES')
})
