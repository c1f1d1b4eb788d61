/** Numbers as people read them; one place, so that tables agree. */

/** `47 s`, `3 min`, `1 h 20 min` */
export function duration(seconds: number): string {
  if (seconds < 99.5) return `${Math.max(0, Math.round(seconds))} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 100) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`
  return `${Math.round(hours / 24)} d`
}

/** `0:28`, `12:05`, `3:04:00` */
export function countdown(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const two = (n: number): string => String(n).padStart(2, '0')
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

/** `142`, `9.3`, `0.81` */
export function rate(value: number): string {
  return value >= 99.5 ? String(Math.round(value)) : significant(value, value >= 9.95 ? 3 : 2)
}

export function significant(value: number, digits: number): string {
  if (!Number.isFinite(value)) return String(value)
  const text = value.toPrecision(digits)
  return text.includes('e') ? String(Number(text)) : text
}

/** `1,234,567` */
export function grouped(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** A share or score in three decimals: `0.171`. */
export function score(value: number): string {
  return value.toFixed(3)
}

/** `-0.022`, `+0.004` */
export function difference(value: number): string {
  return `${value < 0 ? '-' : '+'}${Math.abs(value).toFixed(3)}`
}

export interface Column {
  readonly align: 'left' | 'right'
  /** Spaces before the column. */
  readonly gap?: number
}

/** Cells padded to columns; no line ends in a space. */
export function aligned(
  rows: readonly (readonly string[])[],
  columns: readonly Column[],
  length: (text: string) => number = (text) => text.length,
): string[] {
  const widths = columns.map((_, i) => Math.max(0, ...rows.map((row) => length(row[i] ?? ''))))
  return rows.map((row) =>
    columns
      .map((column, i) => {
        const cell = row[i] ?? ''
        const padding = ' '.repeat(widths[i]! - length(cell))
        const gap = i === 0 ? '' : ' '.repeat(column.gap ?? 2)
        return gap + (column.align === 'left' ? cell + padding : padding + cell)
      })
      .join('')
      .trimEnd(),
  )
}
