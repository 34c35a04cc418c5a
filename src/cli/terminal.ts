/** Colours, on terminals only and never with NO_COLOR, and tables. */
import process from "node:process"

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const

/** Colours a text. */
export type Paint = (color: keyof typeof CODES, text: string) => string

/** How to colour text that is written to a stream. See https://no-color.org. */
export function paintFor(stream: { readonly isTTY?: boolean }, environment: NodeJS.ProcessEnv = process.env): Paint {
  const isPlain = stream.isTTY !== true || (environment["NO_COLOR"] ?? "") !== "" || environment["TERM"] === "dumb"
  return isPlain ? (_color, text) => text : (color, text) => `\u001b[${CODES[color]}m${text}\u001b[0m`
}

/** Lines with aligned columns. The first column is aligned on the left, the others on the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  )
}
