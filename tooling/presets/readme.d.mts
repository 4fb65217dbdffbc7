export function examplesOf(readme: string): { readonly code: string; readonly prints: string | undefined }[];
