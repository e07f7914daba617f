/**
 * The last frame, kept while a connection is replaced: a video element turns black as soon as it is
 * given the new connection's track, seconds before that has a frame.
 *
 *   live ──keep──► a canvas over the video, with its pixels ──clear, at the next first frame──► live
 *
 * The canvas is there only as long as it is needed: a frame of a phone takes some 10 MB. How it
 * looks is the page's matter.
 */

/** A copy of what a video shows, laid over it. */
export class Still {
  readonly #video: HTMLVideoElement;
  #canvas: HTMLCanvasElement | null = null;

  constructor(video: HTMLVideoElement) {
    this.#video = video;
  }

  /** Keeps the frame that is shown now. While one is kept, the video has nothing newer to show. */
  keep(): void {
    const { videoWidth, videoHeight } = this.#video;
    if (this.#canvas !== null || videoWidth === 0 || videoHeight === 0) return;
    const canvas = this.#video.ownerDocument.createElement('canvas');
    canvas.width = videoWidth;
    canvas.height = videoHeight;
    // Without a context the person sees black, as without this class.
    canvas.getContext('2d')?.drawImage(this.#video, 0, 0);
    this.#video.after(canvas);
    this.#canvas = canvas;
  }

  /** Shows the video again. */
  clear(): void {
    this.#canvas?.remove();
    this.#canvas = null;
  }
}
