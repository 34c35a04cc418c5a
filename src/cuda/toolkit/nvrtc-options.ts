/**
 * Reads from NVRTC's options the architecture to compile for and the files that the source may include.
 *
 * An option may be one string (`-I/folder`, `-I /folder`, `--include-path=/folder`) or two (`"-I", "/folder"`). The options
 * themselves must never be reordered or deduplicated: `-D` may occur twice with two meanings.
 */

/** The options that the compilation and the cache depend on. */
export interface OptionsSummary {
  /** `"sm_90a"`; undefined if no option names one. As in NVRTC, the last one wins. */
  readonly architecture: string | undefined
  /** Folders to search for headers, in order. */
  readonly includePaths: readonly string[]
  /** Files included before the source. */
  readonly preIncludes: readonly string[]
  /** Whether they name precompiled headers, whose contents are unknown. */
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

/** The values of an option: the pattern's group after its name, or the next string if the group is empty. */
function valuesOf(options: readonly string[], pattern: RegExp): string[] {
  return options.flatMap((option, index) => {
    const found = pattern.exec(option.trim())
    if (found === null) return []
    return found[1] || options[index + 1] || []
  })
}
