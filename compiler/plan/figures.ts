/** Amounts of a plan as people read them. */

/** Of memory, in three digits: `28.4 GiB`, `610 MiB`, `4 B`. */
export function memoryText(bytes: number): string {
  return inUnits(bytes, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB'])
}

/** Of what is sent, in three digits: `1.20 GB`, `65.5 kB`. */
export function trafficText(bytes: number): string {
  return inUnits(bytes, 1000, ['B', 'kB', 'MB', 'GB', 'TB'])
}

function inUnits(bytes: number, base: number, units: readonly string[]): string {
  let [value, unit] = [bytes, 0]
  // 1023.9 KiB would be written as 1024.
  while (unit < units.length - 1 && Math.round(value) >= base) {
    value /= base
    unit++
  }
  const digits = unit === 0 ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0
  return `${value.toFixed(digits)} ${units[unit]}`
}

/** `3.46e-4` */
export function rate(value: number): string {
  if (value === 0) return '0'
  return value < 0.01 ? trimmed(value.toExponential(2)) : String(Number(value.toPrecision(4)))
}

function trimmed(text: string): string {
  return text.replace(/(\.\d)0e/, '$1e')
}
