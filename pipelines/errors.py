"""
Every error this project raises on purpose.

BookrecError
├── ConfigurationError          a setting is missing, malformed or contradicts another
├── DataError
│   ├── SourceError             a file cannot be read as what it was said to be
│   └── DataQualityError        a critical expectation failed: the batch must not be trained on
├── ModelError
│   ├── NotFittedError          asked for recommendations before `fit`
│   ├── NoModelError            asked the service before it has a model
│   ├── UnknownPartError        asked for a part that the model does not have, or that cannot do it
│   ├── NoSearchError           no part of the model searches texts
│   ├── EmbeddingError          a provider of embeddings failed, or answered nonsense
│   ├── KernelsMissingError     what scoring runs was not compiled on this machine
│   ├── NoProviderError         a provider of embeddings is not set up on this machine
│   └── ArtifactError           a model folder is missing, of another format, or fails its checksum
├── RegistryError               the model registry is unreachable or lacks what was asked for
├── ReleaseError                another version cannot become champion as asked
│   └── UnknownVersionError     the registry has no such version
├── StorageError                a run folder, the database or an embedded server is unusable
├── AccountError                an account or key cannot be made or changed as asked
├── GrantError                  a password, key or refresh token gives no access
├── UnknownReaderError          nothing is kept of a reader who is to be erased
├── BookNotFoundError           the catalogue has no such book
├── CursorError                 a cursor that no answer gave
│   └── CursorExpiredError      the list that a cursor continues is not served any more
├── CacheUnavailableError       Redis did not answer; never fatal
├── WebhookError                an endpoint or delivery is unknown, or its address may not be called
├── FeatureOffError             asked for something that is switched off
├── ServiceUnavailableError     the serving process did not answer
└── StageFailedError            a stage failed; carries its name and the cause
"""

from collections.abc import Sequence


class BookrecError(Exception):
    """Root of the tree: catch it to catch all that this project raises on purpose."""


class ConfigurationError(BookrecError):
    """A setting is missing, malformed or contradicts another."""


class DataError(BookrecError):
    """The input cannot be used as it is."""


class SourceError(DataError):
    """A file cannot be read as what it was said to be."""


class DataQualityError(DataError):
    """A critical expectation failed, so the batch must not be trained on."""

    def __init__(self, suite: str, failed: Sequence[str], report: str) -> None:
        self.suite = suite
        self.failed = tuple(failed)
        self.report = report
        super().__init__(
            f"{suite}: {len(self.failed)} critical expectation(s) failed: "
            f"{'; '.join(self.failed)} (report: {report})"
        )


class ModelError(BookrecError):
    """A model cannot do what was asked of it."""


class NotFittedError(ModelError):
    """Asked for recommendations before `fit`."""

    def __init__(self, model: str) -> None:
        self.model = model
        super().__init__(f"{model} is not fitted yet: call fit() or load() first")


class KernelsMissingError(ModelError):
    """What scoring runs was never compiled, or for another kind of machine."""

    def __init__(self, library: str, platform: str) -> None:
        super().__init__(
            f"{library} is missing or is not one for {platform}: run `make setup`, "
            "or install the package again"
        )


class NoModelError(ModelError):
    """Asked the service before it has a model."""


class UnknownPartError(ModelError):
    """Asked for a part that the model does not have, or that cannot do what is asked."""

    def __init__(self, name: str, able: Sequence[str]) -> None:
        self.name = name
        self.able = tuple(able)
        super().__init__(f"no part {name!r} can do this: take one of {', '.join(able) or 'none'}")


class NoSearchError(ModelError):
    """No part of the model searches texts."""


class EmbeddingError(ModelError):
    """A provider of embeddings failed, or answered nonsense."""


class NoProviderError(ModelError):
    """A provider of embeddings is not set up on this machine: nothing is wrong, it is skipped."""


class ArtifactError(ModelError):
    """A model folder is missing, of another format, or fails its checksum."""


class RegistryError(BookrecError):
    """The model registry is unreachable or lacks what was asked for."""


class ReleaseError(BookrecError):
    """Another version cannot become champion as asked."""


class UnknownVersionError(ReleaseError):
    """The registry has no such version."""

    def __init__(self, version: int) -> None:
        self.version = version
        super().__init__(f"there is no version {version}: `bookrec models` lists those there are")


class StorageError(BookrecError):
    """A run folder, the database or an embedded server is unusable."""


class AccountError(BookrecError):
    """An account or key cannot be made or changed as asked; not `known`: there is none."""

    def __init__(self, message: str, *, known: bool = True) -> None:
        self.known = known
        super().__init__(message)


class GrantError(BookrecError):
    """A password, key or refresh token gives no access; `code` is OAuth 2's word for why."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class RepeatedKeyError(BookrecError):
    """An idempotency key that stands for another request."""


class FeedbackError(BookrecError):
    """An event that cannot be: a rating off the scale, of a reader who was erased."""


class UnknownReaderError(BookrecError):
    """Nothing is kept of a reader who is to be erased, and nothing was."""


class BookNotFoundError(BookrecError):
    """The catalogue has no such book."""

    def __init__(self, book_id: str) -> None:
        self.book_id = book_id
        super().__init__(f"no book has the id {book_id!r}")


class CursorError(BookrecError):
    """A cursor that no answer gave."""


class CursorExpiredError(CursorError):
    """The list that a cursor continues is not served any more: another model is in service."""


class CacheUnavailableError(BookrecError):
    """Redis did not answer; the caller computes instead."""


class BrowsingUnavailableError(CacheUnavailableError):
    """What visitors have looked at is out of reach, and nothing stands in for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "browsing sessions are out of reach: POST /api/v1/recommendations answers to a history "
            f"in the request ({reason})"
        )


class BrowsingEndedError(BookrecError):
    """A browsing session has ended, or there never was one."""

    def __init__(self) -> None:
        super().__init__("this session has ended: begin another by POST /api/v1/sessions")


class WebhookError(BookrecError):
    """An address may not be called, or is called already."""


class UnknownWebhookError(WebhookError):
    """There is no endpoint, or no delivery, of that number."""


class FeatureOffError(BookrecError):
    """Asked for something that a flag has switched off."""

    def __init__(self, feature: str) -> None:
        self.feature = feature
        super().__init__(f"{feature} is switched off here")


class ServiceUnavailableError(BookrecError):
    """The serving process did not answer."""


class StageFailedError(BookrecError):
    """A stage failed, for a reason of one line."""

    def __init__(self, stage: str, reason: str) -> None:
        self.stage = stage
        self.reason = reason
        super().__init__(f"stage {stage} failed: {reason}")
