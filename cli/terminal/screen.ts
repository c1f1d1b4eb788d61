/** What a screen needs of `process.stderr`. */
export interface Terminal {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly rows?: number | undefined
  write(text: string): unknown
  on?(event: 'resize', listener: () => void): unknown
  off?(event: 'resize', listener: () => void): unknown
}

/**
 * A block of lines at the bottom of the terminal that is drawn again and again, and lines that scroll away above it.
 * Drawn inside a synchronised update and line by line over what was there, so it neither flickers nor wraps; after a
 * resize the lines that the terminal has folded are counted as it folded them.
 */
export interface Screen {
  /** Replaces the block. `columns` wide at most; longer lines are cut. */
  draw(render: (columns: number, rows: number) => readonly string[]): void
  /** A line that stays, above the block. */
  print(text: string): void
  /** Leaves the block as it stands and gives the cursor back. */
  close(): void
}

const begin = '\x1b[?2026h\x1b[?25l'
const end = '\x1b[?2026l'
const showCursor = '\x1b[?25h'

export function openScreen(terminal: Terminal): Screen {
  let drawn: readonly string[] = []
  let render: ((columns: number, rows: number) => readonly string[]) | null = null
  const columns = (): number => Math.max(20, terminal.columns ?? 80)
  const rows = (): number => Math.max(4, terminal.rows ?? 24)

  /** Back to the first line of the block, as the terminal shows it now. */
  const home = (): string => {
    const width = columns()
    const lines = drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(visibleLength(line) / width)), 0)
    return lines === 0 ? '' : `\r\x1b[${lines}A`
  }
  const paint = (above: string): void => {
    const width = columns()
    const next = (render?.(width - 1, rows()) ?? []).map((line) => cut(line, width - 1))
    const body = next.map((line) => `${line}\x1b[K\n`).join('')
    const start = home()
    drawn = next
    terminal.write(`${begin}${start}${above}${body}\x1b[J${end}`)
  }
  const onResize = (): void => paint('')
  // Whatever ends the process, the cursor comes back.
  const onExit = (): void => void terminal.write(showCursor)
  process.on('exit', onExit)
  terminal.on?.('resize', onResize)
  return {
    draw(next) {
      render = next
      paint('')
    },
    print(text) {
      paint(
        text
          .split('\n')
          .map((line) => `${line}\x1b[K\n`)
          .join(''),
      )
    },
    close() {
      terminal.off?.('resize', onResize)
      process.off('exit', onExit)
      terminal.write(showCursor)
    },
  }
}

const csi = String.fromCharCode(27)
const colour = new RegExp(`(${csi}\\[[0-9;]*m)`)

export function visibleLength(text: string): number {
  return text.split(colour).reduce((sum, part) => sum + (part.startsWith(csi) ? 0 : [...part].length), 0)
}

/** A name of at most `most` characters: of a longer one the beginning and the end, which tell grid points apart. */
export function shortened(name: string, most: number): string {
  const characters = [...name]
  if (characters.length <= most) return name
  const end = Math.ceil((most - 1) / 2)
  return `${characters.slice(0, most - 1 - end).join('')}…${characters.slice(-end).join('')}`
}

/** At most `width` visible characters; colours are kept and closed. */
export function cut(text: string, width: number): string {
  if (visibleLength(text) <= width) return text
  let out = ''
  let length = 0
  let coloured = false
  for (const part of text.split(colour)) {
    if (part.startsWith(csi)) {
      out += part
      coloured = true
      continue
    }
    for (const character of part) {
      if (length === width - 1) return `${out}…${coloured ? '\x1b[0m' : ''}`
      out += character
      length++
    }
  }
  return out
}
