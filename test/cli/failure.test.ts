import { afterEach, expect, test, vi } from 'vitest'
import { internalError, reportFailure } from '../../cli/failure.js'
import { diagnose } from '../../diagnostics/catalogue.js'
import { DiagnosticError } from '../../diagnostics/diagnostic.js'

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
