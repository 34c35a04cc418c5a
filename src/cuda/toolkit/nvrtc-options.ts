/**
 * What the options for NVRTC say: the architecture to compile for, and which files the source may include.
 *
 * An option may be one string (`-I/folder`, `-I /folder`, `--include-path=/folder`) or two (`"-I", "/folder"`). They are
 * passed on as they are, in their order: the same string may stand there twice and mean two things, as `-D` does.
 */

/** What matters here of a list of options. */
export interface OptionsSummary {
  /** `"sm_90a"`; undefined if no option names one. The last one holds, as for NVRTC. */
  readonly architecture: string | undefined
  /** Folders to search for headers, in order. */
  readonly includePaths: readonly string[]
  /** Files that are included before the source begins. */
  readonly preIncludes: readonly string[]
  /** Do they name precompiled headers, of which it is not known what they hold? */
  readonly usesPrecompiledHeaders: boolean
}

export function summarize(options: readonly string[]): OptionsSummary {
  return {
    architecture: valuesOf(options, /^(?:-arch|--gpu-architecture)(?:=(.*))?$/s).at(-1),
    includePaths: [...valuesOf(options, /^-I[=\s]*(.*)$/s), ...valuesOf(options, /^--include-path(?:[=\s]+(.*))?$/s)],
    preIncludes: valuesOf(options, /^(?:-include|--pre-include)(?:[=\s]+(.*))?$/s),
    usesPrecompiledHeaders: options.some((option) => /pch/i.test(option)),
  }
}

/** The values of an option: what the pattern finds behind its name, or the next string if nothing stands there. */
function valuesOf(options: readonly string[], pattern: RegExp): string[] {
  return options.flatMap((option, index) => {
    const found = pattern.exec(option.trim())
    if (found === null) return []
    return found[1] || options[index + 1] || []
  })
}
