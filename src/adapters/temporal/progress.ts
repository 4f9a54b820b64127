/** Tells a person what is being done while they wait. */
export type OnProgress = (text: string) => void;

/** Leaves out what was said just now: polling loops report on every turn. */
export function withoutRepeats(onProgress: OnProgress): OnProgress {
  let last: string | undefined;
  return (text) => {
    if (text === last) return;
    last = text;
    onProgress(text);
  };
}
