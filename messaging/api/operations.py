"""Operations on all dead letters that match a filter: previewed, begun, followed, stopped."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from messaging.api import schema
from messaging.api.requests import actor_of, key_of, reason_of
from messaging.dead_letters import bulk, prospects
from messaging.dead_letters.prospects import Preview
from messaging.dead_letters.selection import NO_TEMPLATE, Selection
from messaging.models import BulkOperation, OutboundMessage, PhoneNumber
from messaging.operations import Instruction
from messaging.states import Cause
from orgs import database
from orgs.auth import CanManage, CanRead
from orgs.problems import Problem
from orgs.tenancy import TenantQuerySet


class DeadLetterFilterSerializer(serializers.Serializer[Any]):
    """What the dead letters have in common; an empty one means all of the organisation's."""

    error_code = serializers.CharField(required=False, max_length=32)
    template_name = serializers.CharField(
        required=False, max_length=512, help_text=f"{NO_TEMPLATE} for messages that use none."
    )
    phone_number_id = serializers.CharField(
        required=False, max_length=32, help_text="Meta's id of the number they went from."
    )
    category = serializers.ChoiceField(choices=OutboundMessage.Category.choices, required=False)
    campaign = serializers.BooleanField(
        required=False,
        default=None,
        allow_null=True,
        help_text="true: only everyday results of marketing; false: only the other failures.",
    )
    failed_from = serializers.DateTimeField(required=False)
    failed_until = serializers.DateTimeField(required=False, help_text="Not included.")


class BulkRequestSerializer(serializers.Serializer[Any]):
    """Which dead letters, and whether only to say what would happen."""

    filter = DeadLetterFilterSerializer(required=False)
    preview = serializers.BooleanField(
        default=False, help_text="Only say what would happen; nothing is done."
    )
    reason = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class RequeueRequestSerializer(BulkRequestSerializer):
    """The same, with the speed of the release."""

    rate_per_minute = serializers.IntegerField(
        min_value=1,
        max_value=bulk.FASTEST,
        required=False,
        allow_null=True,
        default=None,
        help_text="Release at most so many a minute; null: as fast as it goes.",
    )


class BulkPreviewSerializer(serializers.Serializer[Any]):
    """What would happen now; the rules are asked again when the turn of each message comes."""

    matched = serializers.IntegerField()
    looked_at = serializers.IntegerField(
        help_text="Of so many, the oldest, the rules were asked; less than matched when there "
        f"are more than {prospects.MOST}. 0 for a discard, which asks no rule."
    )
    counts = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="Messages by prospect: " + ", ".join(prospects.ALL) + ".",
    )


class BulkOperationSerializer(serializers.ModelSerializer[BulkOperation]):
    """An operation and how far it has come."""

    done = serializers.IntegerField(help_text="Matched messages dealt with so far.")
    filter = serializers.SerializerMethodField()
    undoes = serializers.UUIDField(source="undoes_id", allow_null=True)
    counts = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="What became of them: requeued, discarded, restored, or why one was left alone.",
    )

    class Meta:
        model = BulkOperation
        fields = [
            "id",
            "kind",
            "state",
            "filter",
            "undoes",
            "rate_per_minute",
            "matched",
            "done",
            "counts",
            "actor",
            "reason",
            "created_at",
            "updated_at",
            "finished_at",
        ]

    def get_filter(self, operation: BulkOperation) -> dict[str, str]:
        """Return the parts of the filter as texts, without the organisation."""
        return {name: text for name, text in operation.filter.items() if name != "org"}


class _NewestFirst(CursorPagination):
    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200


def _operations_of(request: Request) -> TenantQuerySet[BulkOperation]:
    """Return the operations of the key's organisation, and no others."""
    return BulkOperation.objects.of(key_of(request).org)


def _selection(request: Request, given: Mapping[str, Any]) -> Selection:
    """Return what is meant, within the key's organisation."""
    org = key_of(request).org
    number = None
    if "phone_number_id" in given:
        numbers = PhoneNumber.objects.filter(org=org, phone_number_id=given["phone_number_id"])
        number = numbers.values_list("pk", flat=True).first()
        if number is None:
            detail = "The organisation has no such number."
            raise Problem(422, "unknown_phone_number", "No such number", detail)
    return Selection(
        org=org.org_id,
        error=given.get("error_code"),
        template=given.get("template_name"),
        number=number,
        category=given.get("category"),
        campaign=given.get("campaign"),
        failed_from=given.get("failed_from"),
        failed_until=given.get("failed_until"),
    )


class _BulkDeed(APIView):
    """Something done to all dead letters that match."""

    permission_classes = [CanManage]
    kind = ""

    def act(self, request: Request, asked: Mapping[str, Any]) -> Response:
        """Preview it, or have the workers begin."""
        selection = _selection(request, asked.get("filter") or {})
        if asked["preview"]:
            return Response(BulkPreviewSerializer(self.preview(selection)).data)
        instruction = Instruction(actor_of(request), Cause.CLIENT, reason_of(asked))
        try:
            operation = bulk.start(
                self.kind, selection, instruction, rate=asked.get("rate_per_minute")
            )
        except bulk.TooManyError as error:
            raise _too_many(error) from None
        return Response(BulkOperationSerializer(operation).data, status=202)

    def preview(self, selection: Selection) -> Preview:
        """Say what would happen."""
        return Preview(selection.messages().count(), 0, {})


class RequeueDeadLetters(_BulkDeed):
    """Requeue everything that matches."""

    kind = BulkOperation.Kind.REQUEUE

    @extend_schema(
        summary="Requeue all dead letters that match",
        request=RequeueRequestSerializer,
        responses=schema.with_problems(
            {200: BulkPreviewSerializer, 202: BulkOperationSerializer}, 400, 401, 403, 409, 422
        ),
    )
    def post(self, request: Request) -> Response:
        """Answer a preview with 200, an operation with 202; 409 when too many are running."""
        asked = RequeueRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self.act(request, asked.validated_data)

    def preview(self, selection: Selection) -> Preview:
        """Ask the rules of the claim."""
        return prospects.preview(selection.messages(), database.now())


class DiscardDeadLetters(_BulkDeed):
    """Discard everything that matches."""

    kind = BulkOperation.Kind.DISCARD

    @extend_schema(
        summary="Discard all dead letters that match",
        request=BulkRequestSerializer,
        responses=schema.with_problems(
            {200: BulkPreviewSerializer, 202: BulkOperationSerializer}, 400, 401, 403, 409, 422
        ),
    )
    def post(self, request: Request) -> Response:
        """Answer a preview with 200, an operation with 202; it can be undone for a day."""
        asked = BulkRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self.act(request, asked.validated_data)


class OperationList(generics.ListAPIView[BulkOperation]):
    """The organisation's operations, the newest first."""

    queryset = BulkOperation.objects.none()  # for the schema; get_queryset decides
    serializer_class = BulkOperationSerializer
    pagination_class = _NewestFirst
    permission_classes = [CanRead]

    def get_queryset(self) -> TenantQuerySet[BulkOperation]:
        """Return the organisation's operations."""
        return _operations_of(self.request)


class OperationDetail(generics.RetrieveAPIView[BulkOperation]):
    """One operation and how far it has come."""

    queryset = BulkOperation.objects.none()  # for the schema; get_queryset decides
    serializer_class = BulkOperationSerializer
    permission_classes = [CanRead]

    def get_queryset(self) -> TenantQuerySet[BulkOperation]:
        """Return the organisation's operations."""
        return _operations_of(self.request)


class _OperationStep(APIView):
    permission_classes = [CanManage]

    def found(self, request: Request, pk: uuid.UUID) -> BulkOperation:
        """Return the operation, if it is the organisation's."""
        return get_object_or_404(_operations_of(request), pk=pk)

    def now(self, request: Request, pk: uuid.UUID, *, done: bool) -> Response:
        """Return the operation as it is now; 409 when nothing was done."""
        operation = self.found(request, pk)
        if not done:
            detail = f"Not possible while it is {operation.state}."
            raise Problem(409, "wrong_state", "Not possible in this state", detail)
        return Response(BulkOperationSerializer(operation).data)


class StopOperation(_OperationStep):
    """Let the workers do no more of it."""

    @extend_schema(
        summary="Stop an operation",
        request=None,
        responses=schema.with_problems({200: BulkOperationSerializer}, 401, 403, 404, 409),
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Stop it; what is done stays done. 409 when it is not running."""
        done = bulk.stop(self.found(request, pk), actor=actor_of(request))
        return self.now(request, pk, done=done)


class ResumeOperation(_OperationStep):
    """Let the workers go on with it."""

    @extend_schema(
        summary="Go on with a stopped operation",
        request=None,
        responses=schema.with_problems({200: BulkOperationSerializer}, 401, 403, 404, 409),
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Go on where it stopped; 409 when it was not stopped."""
        done = bulk.resume(self.found(request, pk), actor=actor_of(request))
        return self.now(request, pk, done=done)


class UndoOperation(_OperationStep):
    """Bring back what a discard took out."""

    @extend_schema(
        summary="Undo a discard",
        request=None,
        responses=schema.with_problems({202: BulkOperationSerializer}, 401, 403, 404, 409),
    )
    def post(self, request: Request, pk: uuid.UUID) -> Response:
        """Begin to restore its messages; 409 when nothing of it can be restored any more."""
        operation = self.found(request, pk)
        if not bulk.can_be_undone(operation):
            detail = "Only a discard that has ended, within a day, while something lies discarded."
            raise Problem(409, "cannot_be_undone", "Nothing to undo", detail)
        instruction = Instruction(actor_of(request), Cause.CLIENT, reason_of({}))
        try:
            undo = bulk.undo(operation, instruction)
        except bulk.TooManyError as error:
            raise _too_many(error) from None
        return Response(BulkOperationSerializer(undo).data, status=202)


def _too_many(error: bulk.TooManyError) -> Problem:
    return Problem(409, "too_many_operations", "Too many operations", str(error))
