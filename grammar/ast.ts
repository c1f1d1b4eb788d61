import type { Span } from '../diagnostics/diagnostic.js'

/**
 * The abstract syntax of a `.dino` file: exactly what was written, nothing resolved. Every node has a span.
 * Comments stand beside the tree (`SourceFile.comments`), so that `fmt` can put them back.
 */
export interface SourceFile {
  readonly file: string
  readonly text: string
  readonly items: readonly Item[]
  readonly comments: readonly Comment[]
  readonly span: Span
  /** True where a statement at the top level could not be understood: what seems missing may stand in it. */
  readonly incomplete: boolean
}

export interface Comment {
  /** With its `//` or its slash-star. */
  readonly text: string
  readonly span: Span
  /** Whether only white space precedes it on its line. */
  readonly ownLine: boolean
}

export type Item = Import | Param | Block

export interface Name {
  readonly text: string
  readonly span: Span
}

export interface Path {
  readonly kind: 'path'
  readonly names: readonly Name[]
  readonly span: Span
}

/** `import { a, b } from "./sources.dino"` */
export interface Import {
  readonly kind: 'import'
  readonly names: readonly Name[]
  readonly from: Text
  readonly span: Span
  /** True where the import had a fault: the names that could be read are bound, silenced. */
  readonly poisoned: boolean
}

/** `param root: path = env("DATA_ROOT")` */
export interface Param {
  readonly kind: 'param'
  readonly name: Name
  readonly type: Name
  readonly value: Value
  readonly span: Span
  /** True where the param had a fault: its name is bound, silenced; `type` may be empty and `value` bad. */
  readonly poisoned: boolean
}

/** `experiment emoji_parts extends vit_nano { ... }`; `keyword` is `experiment`, `name` is `emoji_parts`. */
export interface Block {
  readonly kind: 'block'
  readonly keyword: Name
  readonly name: Name | null
  readonly type: Name | null
  readonly extends: Path | null
  readonly over: Path | null
  readonly where: Condition | null
  readonly body: readonly Statement[]
  /** From the keyword to the brace that opens the body: what header diagnostics point at. */
  readonly headerSpan: Span
  readonly span: Span
  /** True where the header had a fault: the body is parsed, and what hangs on the header stays silent. */
  readonly poisoned: boolean
  /** True where a statement of the body could not be understood: what seems missing may stand in it. */
  readonly incomplete: boolean
}

export type Statement = Block | Assignment | Drop

/** `schedule.batch = 64 img` */
export interface Assignment {
  readonly kind: 'assignment'
  readonly path: Path
  readonly value: Value
  readonly span: Span
}

/** `drop loss.koleo` */
export interface Drop {
  readonly kind: 'drop'
  readonly path: Path
  readonly span: Span
}

export type Value =
  | Pipe
  | Arrow
  | Range
  | Binary
  | Negative
  | Quantity
  | Text
  | List
  | Call
  | Path
  | Group
  | BadValue

/** `warmup(...) |> cosine(to: c)`: at least two stages. */
export interface Pipe {
  readonly kind: 'pipe'
  readonly stages: readonly Value[]
  readonly span: Span
}

/** `a -> b over n`; `to` or `over` may be absent, not both. */
export interface Arrow {
  readonly kind: 'arrow'
  readonly from: Value
  readonly to: Value | null
  readonly over: Value | null
  readonly span: Span
}

/** `0.05..0.32` */
export interface Range {
  readonly kind: 'range'
  readonly min: Value
  readonly max: Value
  readonly span: Span
}

export interface Binary {
  readonly kind: 'binary'
  readonly op: '+' | '-' | '*' | '/'
  readonly left: Value
  readonly right: Value
  readonly span: Span
}

export interface Negative {
  readonly kind: 'negative'
  readonly operand: Value
  readonly span: Span
}

/** `32 img`, `1e-5`, `10k steps`: `value` has the k, M or G multiplied in; `unit` is null where none is written. */
export interface Quantity {
  readonly kind: 'quantity'
  readonly value: number
  /** The digits as written, for `fmt`: `131_072`, `10k`. */
  readonly written: string
  readonly unit: Name | null
  readonly span: Span
}

/** `"${root}/imagenet1k"`: the parts in order. */
export interface Text {
  readonly kind: 'text'
  readonly parts: readonly TextPart[]
  /** As written, with quotes. */
  readonly written: string
  readonly span: Span
}
export type TextPart =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'param'; readonly name: Name }

export interface List {
  readonly kind: 'list'
  readonly items: readonly Value[]
  readonly span: Span
}

export interface Call {
  readonly kind: 'call'
  readonly name: Name
  readonly args: readonly Argument[]
  readonly span: Span
}
export interface Argument {
  readonly name: Path | null
  readonly value: Value
  readonly span: Span
}

/** A value in parentheses, kept for `fmt`. */
export interface Group {
  readonly kind: 'group'
  readonly value: Value
  readonly span: Span
}

/** Stands where a value was expected and a diagnostic has been given: later stages stay silent about it. */
export interface BadValue {
  readonly kind: 'bad'
  readonly span: Span
}

export type Condition =
  | { readonly kind: 'or'; readonly parts: readonly Condition[]; readonly span: Span }
  | { readonly kind: 'and'; readonly parts: readonly Condition[]; readonly span: Span }
  | { readonly kind: 'not'; readonly operand: Condition; readonly span: Span }
  | {
      readonly kind: 'compare'
      readonly op: '==' | '!=' | '<' | '<=' | '>' | '>='
      readonly left: Value
      readonly right: Value
      readonly span: Span
    }
  /** A condition in parentheses, kept for `fmt`. */
  | { readonly kind: 'group'; readonly condition: Condition; readonly span: Span }
  /** A bare value, true or false by itself: a path or a call, possibly grouped (checked after parsing). */
  | { readonly kind: 'value'; readonly value: Value; readonly span: Span }
