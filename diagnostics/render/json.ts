import type { Diagnostic } from '../diagnostic.js'

/** One object on one line, with every field of the diagnostic: `code, severity, message, primary, labels, ...`. */
export function renderJson(diagnostic: Diagnostic): string {
  const { code, severity, message, primary, labels, notes, help, fixes } = diagnostic
  return JSON.stringify({ code, severity, message, primary, labels, notes, help, fixes })
}
