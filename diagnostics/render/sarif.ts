import type * as sarif from 'sarif'
import type { Entry } from '../catalogue/entry.js'
import { catalogue } from '../catalogue.js'
import type { Diagnostic, Fix, Label, Span } from '../diagnostic.js'

/** A SARIF 2.1.0 log with one run, on one line: what code scanning services read. */
export function renderSarif(diagnostics: readonly Diagnostic[], version: string): string {
  const ids = [...new Set(diagnostics.map((d) => d.code))].sort()
  const log: sarif.Log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'dinoc', semanticVersion: version, rules: ids.map(rule) } },
        columnKind: 'utf16CodeUnits',
        results: diagnostics.map((d) => result(d, ids.indexOf(d.code))),
      },
    ],
  }
  return JSON.stringify(log)
}

function rule(id: string): sarif.ReportingDescriptor {
  const found = (catalogue as unknown as Record<string, Entry<never> | undefined>)[id]
  return {
    id,
    shortDescription: { text: found?.title ?? id },
    help: { text: `dinoc explain ${id}` },
    defaultConfiguration: { level: found?.severity ?? 'error' },
  }
}

function result(diagnostic: Diagnostic, ruleIndex: number): sarif.Result {
  const asides = [...diagnostic.notes.map((n) => `note: ${n}`), ...diagnostic.help.map((h) => `help: ${h}`)]
  return {
    ruleId: diagnostic.code,
    ruleIndex,
    level: diagnostic.severity,
    message: { text: [diagnostic.message, ...asides].join('\n') },
    locations: diagnostic.primary ? [location(diagnostic.primary)] : [],
    ...(diagnostic.labels.length > 0 && {
      relatedLocations: diagnostic.labels.map((label, id) => ({ id: id + 1, ...location(label) })),
    }),
    ...(diagnostic.fixes.length > 0 && { fixes: diagnostic.fixes.map(fix) }),
  }
}

function location({ span, message }: Label): sarif.Location {
  return {
    physicalLocation: { artifactLocation: artifact(span), region: region(span) },
    ...(message && { message: { text: message } }),
  }
}

/** Relative paths with `/`, characters that URIs reserve escaped. */
function artifact(span: Span): sarif.ArtifactLocation {
  return { uri: span.file.split(/[\\/]/).map(encodeURIComponent).join('/') }
}

function region(span: Span): sarif.Region {
  return {
    startLine: span.startLine,
    startColumn: span.startColumn,
    endLine: span.endLine,
    endColumn: span.endColumn,
    charOffset: span.start,
    charLength: span.end - span.start,
  }
}

function fix({ title, span, replacement }: Fix): sarif.Fix {
  return {
    description: { text: title },
    artifactChanges: [
      {
        artifactLocation: artifact(span),
        replacements: [{ deletedRegion: region(span), insertedContent: { text: replacement } }],
      },
    ],
  }
}
