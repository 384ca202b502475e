import type { MediaKind } from '../contract/index.js';

export interface Model {
  readonly id: string;
  readonly name: string;
  readonly category: MediaKind | 'chat';
  readonly credits: number;
  readonly billing: 'FIXED' | 'METERED' | 'TOKEN_BASED';
  readonly modes: readonly string[];
  /** Characters; null where the model's page names no limit. */
  readonly maxPrompt: number | null;
  readonly inputs: readonly ('text' | 'file')[];
  /** Largest reference in bytes, where the model's page names another limit than the page of files. */
  readonly maxFile?: Partial<Record<MediaKind, number>>;
  /** Models whose page says that `params` is required. */
  readonly needsParams?: boolean;
}

const text = ['text'] as const;
const file = ['text', 'file'] as const;
const toImage = ['text-to-image'];
const imageBoth = ['text-to-image', 'image-to-image'];
const videoBoth = ['text-to-video', 'image-to-video'];
const fixed = { billing: 'FIXED' } as const;
const metered = { billing: 'METERED' } as const;
const tokens = { category: 'chat', billing: 'TOKEN_BASED', modes: ['chat'], maxPrompt: 20_000 } as const;

/** Some of the public models, with price and prompt limit from their own pages. */
// prettier-ignore
export const MODELS: readonly Model[] = [
  { id: 'z-image', name: 'Z-Image', category: 'image', credits: 1, ...fixed, modes: toImage, maxPrompt: 1000, inputs: text },
  { id: '4o-image', name: '4o Image', category: 'image', credits: 3, ...fixed, modes: toImage, maxPrompt: null, inputs: text },
  { id: 'nano-banana-2', name: 'Nano Banana 2', category: 'image', credits: 5, ...fixed, modes: imageBoth, maxPrompt: 20_000, inputs: file, maxFile: { image: 30 * 1024 * 1024 } },
  { id: 'gpt-image-2', name: 'GPT Image 2', category: 'image', credits: 3, ...fixed, modes: imageBoth, maxPrompt: 20_000, inputs: file },
  { id: 'qwen2-image', name: 'Qwen2 Image', category: 'image', credits: 6, ...fixed, modes: imageBoth, maxPrompt: 800, inputs: file },
  { id: 'sora-2', name: 'Sora 2', category: 'video', credits: 6, ...fixed, modes: videoBoth, maxPrompt: 10_000, inputs: file },
  { id: 'veo3-1-lite', name: 'Veo 3.1 Lite', category: 'video', credits: 10, ...fixed, modes: videoBoth, maxPrompt: 5000, inputs: file },
  { id: 'runway', name: 'Runway', category: 'video', credits: 12, ...fixed, modes: videoBoth, maxPrompt: 1800, inputs: file },
  { id: 'kling-2-6', name: 'Kling 2.6', category: 'video', credits: 55, ...fixed, modes: videoBoth, maxPrompt: 1000, inputs: file },
  { id: 'suno-music', name: 'Suno Music', category: 'audio', credits: 12, ...fixed, modes: ['text-to-music'], maxPrompt: 500, inputs: text },
  { id: 'elevenlabs-sound-effect-v2', name: 'ElevenLabs Sound Effect v2', category: 'audio', credits: 3, ...metered, modes: ['text-to-audio'], maxPrompt: 5000, inputs: text },
  { id: 'elevenlabs-turbo-2-5', name: 'ElevenLabs Turbo 2.5', category: 'audio', credits: 6, ...metered, modes: ['text-to-speech'], maxPrompt: 5000, inputs: text, needsParams: true },
  { id: 'gemini-2-5-flash-chat', name: 'Gemini 2.5 Flash', credits: 1, ...tokens, inputs: file },
  { id: 'gpt-5-2-chat', name: 'GPT-5.2', credits: 3, ...tokens, inputs: file },
  { id: 'claude-sonnet-4-6-chat', name: 'Claude Sonnet 4.6', credits: 4, ...tokens, inputs: text },
];

export function findModel(id: string): Model | undefined {
  return MODELS.find((model) => model.id === id);
}

/** Body of `GET /api/v1/models`. The inner shape of `params` and `reference_media` is not published: empty, as in its example. */
export function modelList(): object {
  return {
    object: 'list',
    data: MODELS.map((model) => ({
      id: model.id,
      display_name: model.name,
      category: model.category,
      runtime: model.category === 'chat' ? 'chat' : 'async_task',
      base_credits: model.credits,
      billing_type: model.billing,
      supported_modes: model.modes,
      max_prompt_length: model.maxPrompt,
      reference_media: null,
      params: [],
      api_status: 'available',
      api_input_status: model.inputs.includes('file') ? 'partial_requires_files' : 'available_text',
      supported_api_inputs: model.inputs,
      requires_files_api: false,
      requires_upload_for_modes: model.modes.filter((mode) => mode.startsWith('image-')),
      url_input_supported: false,
      file_kinds: model.inputs.includes('file') ? ['image'] : [],
      chat_capabilities: null,
      notices: [],
    })),
  };
}
