/** `white`, `black` or `#rrggbb`; null (black) where nothing is said; undefined for anything else. */
export function parseColour(text: string | null): readonly [number, number, number] | undefined {
  if (text === null || text === 'black') return [0, 0, 0]
  if (text === 'white') return [255, 255, 255]
  const match = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(text)
  return match ? [parseInt(match[1]!, 16), parseInt(match[2]!, 16), parseInt(match[3]!, 16)] : undefined
}
