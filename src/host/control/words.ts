/**
 * The word at an index. Indices come from the layout and from commands, and lie inside the memory, but TypeScript's type
 * of an indexed read includes undefined. The doubt ends here, once. The engine inlines the call: it costs nothing.
 */
export function wordAt(words: Int32Array, index: number): number {
  return words[index] as number
}
