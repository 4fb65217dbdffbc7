export function markTypes(text: string, values: ReadonlySet<string>): string;
